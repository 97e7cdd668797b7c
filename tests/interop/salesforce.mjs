// jsforce against the sandbox: each function is one conversation, and says what it saw.
import jsforce from "jsforce";
import { converse } from "./talk.mjs";

const VERSION = "65.0";
const refusal = (error) => error.errorCode ?? error.name;

async function connect({ url, client_id, client_secret }) {
  const connection = new jsforce.Connection({
    instanceUrl: url,
    version: VERSION,
    oauth2: { loginUrl: url, clientId: client_id, clientSecret: client_secret },
  });
  await connection.authorize({ grant_type: "client_credentials" });
  return connection;
}

converse({
  async access(order) {
    const connection = await connect(order);
    const identity = [connection.userInfo.id.slice(0, 3), connection.userInfo.organizationId.slice(0, 3)];
    const versions = await connection.request("/services/data");
    const limits = await connection.limits();
    const wrong = await connect({ ...order, client_secret: "guessed" }).catch(refusal);
    const usage = connection.limitInfo.apiUsage;
    return {
      identity,
      versions: versions.some((one) => one.version === VERSION),
      limits: limits.DailyApiRequests.Max > 0,
      wrong,
      usage: usage.used > 0 && usage.limit > usage.used,
    };
  },

  async records(order) {
    const connection = await connect(order);
    const lead = connection.sobject("Lead");
    const made = await lead.create({ LastName: "Lee", Company: "Acme", Email: "ann@acme.example" });
    const updated = await lead.update({ Id: made.id, Title: "CTO" });
    const read = await lead.retrieve(made.id);
    const refused = await lead.create({ Company: "Acme" }).catch(refusal);
    const unknown = await lead.update({ Id: made.id, NoSuch__c: 1 }).catch(refusal);
    const removed = await lead.destroy(made.id);
    const gone = await lead.retrieve(made.id).catch(refusal);
    return {
      made: [made.success, made.id.length],
      updated: updated.success,
      read: [read.attributes.type, read.LastName, read.Title],
      refused,
      unknown,
      removed: removed.success,
      gone,
    };
  },

  async keys(order) {
    const connection = await connect(order);
    const lead = connection.sobject("Lead");
    const one = { Key__c: "a/b c", LastName: "Lee", Company: "Acme" };
    const first = await lead.upsert(one, "Key__c");
    const second = await lead.upsert({ ...one, Title: "CTO" }, "Key__c");
    const [id] = (await lead.find({ Key__c: "a/b c" }, ["Id"])).map((row) => row.Id);
    const many = await lead.upsert(
      [{ Key__c: "x", LastName: "X", Company: "Acme" }, { ...one, Title: "CEO" }], "Key__c", { allOrNone: false },
    );
    const three = await lead.create(
      Array.from({ length: 450 }, (_, n) => ({ LastName: `N${n}`, Company: "Acme" })), { allowRecursive: true },
    );
    const quoted = await lead.find({ LastName: "O'Neil \"x\"" }, ["Id"]);
    return {
      first: first.created, second: second.created, id: id === first.id,
      many: many.map((row) => [row.success, row.created]), three: three.filter((row) => row.success).length,
      quoted: quoted.length,
    };
  },

  async queries(order) {
    const connection = await connect(order);
    const first = await connection.query("SELECT Id, Email FROM Lead ORDER BY Id");
    const rows = [...first.records];
    let page = first;
    let pages = 1;
    while (!page.done) {
      page = await connection.queryMore(page.nextRecordsUrl);
      rows.push(...page.records);
      pages += 1;
    }
    const all = await connection.query("SELECT Id FROM Lead", { autoFetch: true, maxFetch: 1000 });
    const built = await connection
      .sobject("Lead")
      .find({ Title: "CTO", Email: { $like: "lead1%" } }, ["Id", "Email"])
      .sort({ Email: 1 })
      .limit(5)
      .execute();
    const parent = await connection.query("SELECT Id, Account.Name FROM Contact");
    const counted = await connection.query("SELECT COUNT() FROM Lead");
    const wrong = await connection.query("SELECT NoSuch__c FROM Lead").catch(refusal);
    return {
      total: first.totalSize,
      pages: pages > 1,
      rows: rows.map((one) => one.Email).sort(),
      all: all.records.length,
      built: built.map((one) => one.Email),
      parent: parent.records.map((one) => one.Account.Name),
      counted: counted.totalSize,
      wrong,
    };
  },

  async describes(order) {
    const connection = await connect(order);
    const global = await connection.describeGlobal();
    const lead = await connection.sobject("Lead").describe();
    const status = lead.fields.find((one) => one.name === "Status");
    const since = new Date(Date.now() - 3600e3);
    const until = new Date(Date.now() + 60e3);
    await connection.sobject("Lead").update({ Id: order.lead, Title: "CEO" });
    const updated = await connection.sobject("Lead").updated(since, until);
    await connection.sobject("Lead").destroy(order.lead);
    const deleted = await connection.sobject("Lead").deleted(since, until);
    return {
      objects: ["Lead", "Contact", "Account"].every((name) => global.sobjects.some((one) => one.name === name)),
      prefix: lead.keyPrefix,
      statuses: status.picklistValues.length,
      updated: [updated.ids.includes(order.lead), typeof updated.latestDateCovered],
      deleted: deleted.deletedRecords.map((one) => one.id),
    };
  },

  async collections(order) {
    const connection = await connect(order);
    const contact = connection.sobject("Contact");
    const created = await contact.create([{ LastName: "A" }, { LastName: "B" }, { FirstName: "nameless" }], { allOrNone: false });
    const ids = created.filter((one) => one.success).map((one) => one.id);
    const updated = await contact.update(ids.map((Id) => ({ Id, Title: "Buyer" })), { allOrNone: false });
    const read = await contact.retrieve(ids, { fields: ["Id", "Title"] });
    const rolled = await contact.update([{ Id: ids[0], Title: "Seller" }, { Id: order.lead, Title: "x" }], { allOrNone: true });
    const after = await contact.retrieve(ids[0]);
    const removed = await contact.destroy(ids);
    return {
      created: created.map((one) => one.success),
      why: created[2].errors[0].statusCode,
      updated: updated.map((one) => one.success),
      read: read.map((one) => one.Title),
      rolled: rolled.map((one) => one.success),
      after: after.Title,
      removed: removed.map((one) => one.success),
    };
  },

  async bulk(order) {
    const connection = await connect(order);
    connection.bulk2.pollInterval = 20;
    connection.bulk2.pollTimeout = 20000;
    const loaded = await connection.bulk2.loadAndWaitForResults({
      object: "Lead",
      operation: "insert",
      input: [
        { LastName: "One", Company: "Acme, \"Inc\"", Email: "one@bulk.example" },
        { LastName: "Two", Company: "Acme", Email: "two@bulk.example" },
        { LastName: "", Company: "Nameless", Email: "three@bulk.example" },
      ],
    });
    const ids = loaded.successfulResults.map((one) => one.sf__Id);
    const changed = await connection.bulk2.loadAndWaitForResults({
      object: "Lead",
      operation: "update",
      input: ids.map((Id) => ({ Id, Title: "Buyer" })),
    });
    const stream = await connection.bulk2.query("SELECT Id, Email, Company, Title FROM Lead WHERE Title = 'Buyer'");
    const rows = await stream.toArray();
    return {
      loaded: [loaded.successfulResults.length, loaded.failedResults.map((one) => one.sf__Error.split(":")[0]), loaded.unprocessedRecords.length],
      changed: changed.successfulResults.map((one) => one.sf__Created),
      rows: rows.map((one) => [one.Email, one.Company, one.Title]).sort(),
    };
  },

  async setup(order) {
    const connection = await connect(order);
    const made = await connection.tooling.create("CustomField", {
      FullName: "Lead.Jsforce_Score__c",
      Metadata: { label: "Score", type: "Number", precision: 18, scale: 0 },
    });
    const before = await connection.query("SELECT Jsforce_Score__c FROM Lead").catch(refusal);
    return { made: made.success, before };
  },
});
