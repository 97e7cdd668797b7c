// Mailchimp's client for Node against the sandbox: each function is one conversation, and says what it saw.
import { createHash } from "node:crypto";
import mailchimp from "@mailchimp/mailchimp_marketing";
import { converse } from "./talk.mjs";

const hashed = (email) => createHash("md5").update(email.toLowerCase()).digest("hex");
const refusal = (error) => [error.status, error.response.body.title];

function connect({ url, key }) {
  mailchimp.setConfig({ apiKey: key, server: "us1" });
  mailchimp.basePath = `${url}/3.0`;
  return mailchimp;
}

converse({
  async account(order) {
    const client = connect(order);
    const pong = await client.ping.get();
    const root = await client.root.getRoot();
    const lists = await client.lists.getAllLists({ count: 100 });
    const stranger = await connect({ ...order, key: "somebody-us1" }).ping.get().catch(refusal);
    return { pong: pong.health_status, account: typeof root.account_id, lists: lists.lists.map((one) => one.id), stranger };
  },

  async members({ list, ...order }) {
    const { lists } = connect(order);
    const ann = "Ann@acme.test";
    const put = await lists.setListMember(list, hashed(ann), {
      email_address: ann, status_if_new: "transactional", merge_fields: { FNAME: "Ann" },
    });
    const twice = await lists.addListMember(list, { email_address: ann, status: "subscribed" }).catch(refusal);
    const patched = await lists.updateListMember(list, hashed(ann), { status: "subscribed", merge_fields: { LNAME: "Lee" } });
    const again = await lists.setListMember(list, hashed(ann), { email_address: ann, status_if_new: "transactional" });
    await lists.addListMember(list, { email_address: "bob@acme.test", status: "subscribed", tags: ["warm"] });
    const page = await lists.getListMembersInfo(list, { count: 1, offset: 1, sortField: "last_changed", sortDir: "ASC" });
    const found = await lists.getListMember(list, hashed("bob@acme.test"), { fields: ["email_address", "status", "tags"] });
    await lists.deleteListMember(list, hashed(ann));
    const archived = await lists.getListMember(list, hashed(ann));
    const none = await lists.getListMember(list, hashed("none@acme.test")).catch(refusal);
    return {
      put: [put.id === hashed(ann), put.status, put.merge_fields.FNAME],
      twice,
      patched: [patched.status, patched.merge_fields],
      again: again.status,
      page: [page.total_items, page.members.length],
      found: [found.email_address, found.status, found.tags.map((one) => one.name), found.id ?? null],
      archived: archived.status,
      none,
    };
  },

  async tags({ list, email, ...order }) {
    const { lists } = connect(order);
    const set = (tags) => lists.updateListMemberTags(list, hashed(email), { tags });
    await set([{ name: "lb: warm", status: "active" }, { name: "lb: cold", status: "active" }]);
    await set([{ name: "lb: cold", status: "inactive" }]);
    const kept = await lists.getListMemberTags(list, hashed(email), { count: 100 });
    const known = await lists.tagSearch(list, { name: "lb" });
    await lists.createListMemberEvent(list, hashed(email), { name: "demo_asked", properties: { plan: "pro" } });
    const events = await lists.getListMemberEvents(list, hashed(email), { count: 10 });
    return {
      kept: kept.tags.map((one) => one.name),
      known: known.tags.map((one) => one.name).sort(),
      events: events.events.map((one) => [one.name, one.properties]),
    };
  },

  async fields({ list, ...order }) {
    const { lists } = connect(order);
    const made = await lists.addListMergeField(list, { name: "Score", type: "number", tag: "SCORE" });
    const bad = await lists
      .addListMember(list, { email_address: "eve@acme.test", status: "subscribed", merge_fields: { SCORE: "high" } })
      .catch((error) => [error.status, error.response.body.errors[0].field]);
    const renamed = await lists.updateListMergeField(list, made.merge_id, { name: "Points" });
    const all = await lists.getListMergeFields(list, { count: 100 });
    await lists.deleteListMergeField(list, made.merge_id);
    return { made: [made.tag, made.type], bad, renamed: renamed.name, all: all.merge_fields.map((one) => one.tag) };
  },

  async batch({ list, ...order }) {
    const client = connect(order);
    const operation = (email) => ({
      method: "PUT",
      path: `/lists/${list}/members/${hashed(email)}`,
      operation_id: email,
      body: JSON.stringify({ email_address: email, status_if_new: "subscribed" }),
    });
    const emails = ["one@acme.test", "two@acme.test", "not an address"];
    let job = await client.batches.start({ operations: emails.map(operation) });
    const states = [job.status];
    for (let n = 0; n < 50 && job.status !== "finished"; n += 1) {
      job = await client.batches.status(job.id);
      if (states.at(-1) !== job.status) states.push(job.status);
    }
    const answer = await fetch(job.response_body_url);
    const many = await client.lists.batchListMembers(list, {
      members: [
        { email_address: "three@acme.test", status: "subscribed" },
        { email_address: "one@acme.test", status: "subscribed" },
      ],
      update_existing: false,
    });
    return {
      first: states[0],
      last: states.at(-1),
      counts: [job.total_operations, job.finished_operations, job.errored_operations],
      results: [answer.status, (await answer.arrayBuffer()).byteLength > 100],
      many: [many.total_created, many.error_count, many.errors[0].email_address],
    };
  },

  async mail({ list, email, journey, step, campaign, ...order }) {
    const client = connect(order);
    await client.customerJourneys.trigger(journey, step, { email_address: email });
    const none = await client.customerJourneys.trigger(journey, 999, { email_address: email }).catch(refusal);
    const campaigns = await client.campaigns.list({ count: 10 });
    const activity = await client.reports.getEmailActivityForCampaign(campaign, { count: 10 });
    const feed = await client.lists.getListMemberActivityFeed(list, hashed(email), { count: 10 });
    const opened = await client.reports.getCampaignOpenDetails(campaign);
    return {
      none,
      campaigns: campaigns.campaigns.some((one) => one.id === campaign),
      activity: activity.emails.map((one) => [one.email_address, one.activity.map((act) => act.action)]),
      feed: feed.activity.map((one) => one.activity_type),
      opened: opened.members.map((one) => one.email_address),
    };
  },
});
