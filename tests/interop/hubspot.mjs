// HubSpot's client for Node against the sandbox: each function is one conversation, and says what it saw.
import { Client } from "@hubspot/api-client";
import { converse } from "./talk.mjs";

const connect = ({ url, token }) =>
  new Client({ accessToken: token, basePath: url, numberOfApiCallRetries: 0 });

converse({
  async contacts(order) {
    const { basicApi } = connect(order).crm.contacts;
    const made = await basicApi.create({ properties: { email: "Ann@Acme.example", firstname: "Ann" }, associations: [] });
    const updated = await basicApi.update(made.id, { properties: { jobtitle: "CTO" } });
    const byId = await basicApi.getById(made.id, ["email", "jobtitle"], ["jobtitle"]);
    const byEmail = await basicApi.getById("ann@acme.example", undefined, undefined, undefined, false, "email");
    await basicApi.archive(made.id);
    const gone = await basicApi.getById(made.id).catch((error) => error.code);
    const archived = await basicApi.getById(made.id, undefined, undefined, undefined, true);
    return {
      id: made.id,
      email: made.properties.email,
      created: made.createdAt instanceof Date && !Number.isNaN(made.createdAt.getTime()),
      title: updated.properties.jobtitle,
      read: byId.properties,
      history: byId.propertiesWithHistory.jobtitle.map((one) => one.value),
      sameByEmail: byEmail.id === made.id,
      gone,
      archived: archived.archived,
    };
  },

  async pages(order) {
    const client = connect(order);
    const { basicApi } = client.crm.contacts;
    const sizes = [];
    let after;
    do {
      const page = await basicApi.getPage(20, after, ["email"], undefined, ["companies"]);
      sizes.push(page.results.length);
      after = page.paging?.next?.after;
    } while (after);
    const all = await client.crm.contacts.getAll(10, undefined, ["email"]);
    return { sizes, all: all.map((one) => one.properties.email).sort() };
  },

  async search(order) {
    const { searchApi } = connect(order).crm.contacts;
    const ask = (after) =>
      searchApi.doSearch({
        filterGroups: [{ filters: [{ propertyName: "jobtitle", operator: "EQ", value: "CTO" }] }],
        sorts: ["hs_object_id"],
        properties: ["email"],
        limit: 10,
        after,
      });
    const found = [];
    let page = await ask("0");
    const { total } = page;
    for (;;) {
      found.push(...page.results.map((one) => one.properties.email));
      if (!page.paging?.next?.after) break;
      page = await ask(page.paging.next.after);
    }
    const wrong = await searchApi.doSearch({ filterGroups: [], limit: 201 }).catch((error) => error.code);
    return { total, found, wrong };
  },

  async batches(order) {
    const { batchApi } = connect(order).crm.contacts;
    const created = await batchApi.create({
      inputs: ["a", "b", "c"].map((name) => ({ properties: { email: `${name}@batch.example` }, associations: [] })),
    });
    const ids = created.results.map((one) => one.id);
    const updated = await batchApi.update({
      inputs: [...ids.map((id) => ({ id, properties: { jobtitle: "Buyer" } })), { id: "999999", properties: { jobtitle: "x" } }],
    });
    const read = await batchApi.read({
      inputs: [...ids, "999999"].map((id) => ({ id })),
      properties: ["email", "jobtitle"],
      propertiesWithHistory: [],
    });
    const upserted = await batchApi.upsert({
      inputs: [
        { id: "a@batch.example", idProperty: "email", properties: { jobtitle: "Seller" } },
        { id: "new@batch.example", idProperty: "email", properties: {} },
      ],
    });
    const refused = await batchApi
      .update({ inputs: [{ id: ids[0], properties: { none_such: "1" } }] })
      .catch((error) => [error.code, error.body.errors[0].code]);
    await batchApi.archive({ inputs: ids.map((id) => ({ id })) });
    const left = await batchApi.read({ inputs: ids.map((id) => ({ id })), properties: [], propertiesWithHistory: [] });
    return {
      created: [created.status, ids.length],
      updated: [updated.results.length, updated.numErrors, updated.errors[0].context.ids],
      read: read.results.map((one) => `${one.properties.email} ${one.properties.jobtitle}`).sort(),
      missing: read.errors[0].context.ids,
      upserted: upserted.results.map((one) => one._new).sort(),
      refused,
      left: left.results.length,
    };
  },

  async properties(order) {
    const { coreApi, groupsApi } = connect(order).crm.properties;
    await groupsApi.create("contacts", { name: "acme", label: "Acme", displayOrder: -1 });
    const made = await coreApi.create("contacts", {
      name: "acme_score", label: "Score", type: "number", fieldType: "number", groupName: "acme",
    });
    const twice = await coreApi
      .create("contacts", { name: "acme_score", label: "S", type: "number", fieldType: "number", groupName: "acme" })
      .catch((error) => error.code);
    const all = await coreApi.getAll("contacts");
    const stage = all.results.find((one) => one.name === "lifecyclestage");
    await coreApi.archive("contacts", "acme_score");
    const gone = await coreApi.getByName("contacts", "acme_score").catch((error) => error.code);
    return { made: [made.name, made.type, made.groupName], twice, stages: stage.options[0].value, gone };
  },

  async around(order) {
    const client = connect(order);
    const company = await client.crm.companies.basicApi.create({ properties: { name: "Acme" }, associations: [] });
    const associations = client.crm.associations.v4;
    await associations.basicApi.createDefault("contacts", order.contact, "companies", company.id);
    const read = await associations.batchApi.getPage("contacts", "companies", { inputs: [{ id: order.contact }] });
    const one = await associations.basicApi.getPage("contacts", order.contact, "companies");
    const deal = await client.crm.deals.basicApi.create({
      properties: { dealname: "Big", amount: "100" },
      associations: [
        { to: { id: order.contact }, types: [{ associationCategory: "HUBSPOT_DEFINED", associationTypeId: 3 }] },
      ],
    });
    const withDeals = await client.crm.contacts.basicApi.getById(order.contact, undefined, undefined, ["deals"]);
    const note = await client.crm.objects.notes.basicApi.create({
      properties: { hs_timestamp: "2026-11-20T10:00:00Z", hs_note_body: "Hello" },
      associations: [],
    });
    const owners = await client.crm.owners.ownersApi.getPage();
    const stages = await client.crm.pipelines.pipelinesApi.getAll("deals");
    return {
      company: [String(read.results[0].to[0].toObjectId) === company.id, read.results[0].to[0].associationTypes[0].category],
      one: String(one.results[0].toObjectId) === company.id,
      deal: withDeals.associations.deals.results[0].id === deal.id,
      note: note.properties.hs_note_body,
      owners: owners.results.map((owner) => owner.email),
      stages: stages.results[0].stages.length > 0,
    };
  },

  async people(order) {
    const client = connect(order);
    const { basicApi } = client.crm.contacts;
    const [one, two] = order.contacts;
    const merged = await basicApi.merge({ primaryObjectId: one, objectIdToMerge: two });
    const old = await basicApi.getById(two, ["hs_merged_object_ids"]);
    const list = await client.crm.lists.listsApi.doSearch({ query: "news", count: 10, offset: 0 });
    await client.crm.lists.membershipsApi.add(list.lists[0].listId, [merged.id]);
    const members = await client.crm.lists.membershipsApi.getPage(list.lists[0].listId);
    const events = await client.events.eventsApi.getPage("contact", undefined, undefined, merged.id);
    const forms = await client.marketing.forms.formsApi.getPage();
    await basicApi.purge({ objectId: merged.id });
    const purged = await basicApi.getById(merged.id, undefined, undefined, undefined, true).catch((error) => error.code);
    return {
      merged: [merged.id === old.id, old.properties.hs_merged_object_ids.split(";").sort()],
      members: members.results.map((member) => member.recordId === merged.id),
      events: events.results.map((event) => [event.eventType, event.occurredAt instanceof Date]),
      forms: forms.results.map((form) => form.name),
      purged,
    };
  },

  async access(order) {
    const client = connect(order);
    const granted = await client.oauth.tokensApi.create(
      "refresh_token", undefined, undefined, order.client_id, order.client_secret, order.refresh_token,
    );
    const fresh = connect({ url: order.url, token: granted.accessToken });
    const page = await fresh.crm.contacts.basicApi.getPage();
    const stranger = await connect({ url: order.url, token: "nobody" }).crm.contacts.basicApi
      .getPage()
      .catch((error) => [error.code, error.body.category]);
    return { lasts: granted.expiresIn, contacts: page.results.length, stranger };
  },
});
