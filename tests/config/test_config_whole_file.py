"""What only the whole file can say: each contradiction is one fault, at its line, with what is allowed."""

import re
from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.config.bind import hints
from leadbridge.config.scores import Rule
from tests.helpers.config_files import changed, faults_of, loaded

SMALL = "small: {employees: {below: 50}}"
SCORE = "score: {hubspot: leadbridge_score, mailchimp: LBSCORE}"
GUIDES = "- {name: guides, mailchimp: {tag: lb-guides}, when: {segment: small, buyer_journey: awareness}}"
HEAD = "when: {job_title: {words: [vp, head]}}"
WHERE = "where: {url: {contains: /pricing}}"
MAILCHIMP = '  mailchimp: {api_key: "${MAILCHIMP_KEY}", audience: a36b032126}\n'
TRIGGER = "trigger: https://us6.api.mailchimp.com/3.0/customer-journeys/journeys/12/steps/34/actions/trigger"
VARIANTS = (
    "variants: [{name: short, share: 60%, mailchimp: {tag: lb-short}}, "
    "{name: long, share: 40%, mailchimp: {tag: lb-long}}]"
)

# what is replaced, by what, [(line, where, words)]
PERSONA = "personas:\n  maria:\n    traits:\n      - {name: here, when: {country: NO}, weight: 2}\n"

SECOND = """  value:
    categories: {money: {max: 40}}
    rules:
      - {name: of a good lead, category: money, each: score.lead, points: 0.1}
"""

CASES = {
    "unknown field in a rule": (
        HEAD, "when: {job_titel: {words: [vp]}}", [(17, "scores.lead.rules[0].when.job_titel", "job_title, country")],
    ),
    "unknown field deep in a condition": (
        SMALL, "small: {any: [{not: {employes: 5}}]}", [(26, "segments.small.any[0].not.employes", "is not a field")],
    ),
    "a rule that looks at a score": (
        HEAD, "when: {score.lead: {above: 1}}",
        [(17, "scores.lead.rules[0].when.score.lead", "a rule cannot look at it")],
    ),
    "a bound beyond what the score can be": (
        SMALL, "small: {not: {score.lead: {at_least: 101}}}",
        [(26, "segments.small.not.score.lead.at_least", "can never hold: score.lead goes from 0 to 80; stay within")],
    ),
    "a bound below what the score can be": (
        SMALL, "small: {any: [{score.lead: {below: 0}}, {score.lead: {equals: 80}}]}",
        [(26, "segments.small.any[0].score.lead.below", "can never hold")],
    ),
    "a stage left at more than it is entered at": (
        "until: {score.lead: {below: 45}}", "until: {score.lead: {below: 61}}",
        [(21, "stages.sql.until.score.lead.below", "ends nothing: from 60 on people enter sql at once again")],
    ),
    "a stage that takes everybody of the next": (
        "at_least: 60}}, until: {score.lead: {below: 45}}", "at_least: 30}}",
        [(22, "stages.mql.when.score.lead.at_least", "nobody enters mql: from 30 on people are in sql")],
    ),
    "a list beside not": (
        SMALL, "small: {not: [{employees: 5}, {country: NO}]}",
        [(26, "segments.small.not", "takes one condition; for none of several write {not: {any: [first, second]}}")],
    ),
    "a rule of no kind of activity": (
        HEAD, "activity: []", [(17, "scores.lead.rules[0].activity", "needs at least one entry")],
    ),
    "a test that no value passes": (
        SMALL, "small: {employees: {above: 50, at_most: 50}}",
        [(26, "segments.small.employees", "can never hold: no number")],
    ),
    "points times a text": (
        HEAD, "each: country", [(17, "scores.lead.rules[0].each", "multiplied by a number only")],
    ),
    "points times nothing that is there": (
        HEAD, "each: employes", [(17, "scores.lead.rules[0].each", "is not a field")],
    ),
    "behaviour with the name of a field": (
        "write_back:\n", "behaviour:\n  country: {of: purchase}\nwrite_back:\n",
        [(12, "behaviour.country", "is the name of a field (line 6) too")],
    ),
    "behaviour with a word of ours": (
        "write_back:\n", "behaviour:\n  segments: {of: purchase}\nwrite_back:\n",
        [(12, "behaviour.segments", "is a word of leadbridge's own")],
    ),
    "a company of what is no field": (
        "write_back:\n", "company: {by: account, scores: {lead: best}}\nwrite_back:\n",
        [(11, "company.by", "is not a field")],
    ),
    "a company's share of no score": (
        "write_back:\n", "company: {by: country, scores: {laed: best}}\nwrite_back:\n",
        [(11, "company.scores.laed", "is no score")],
    ),
    "a question about no field": (
        "write_back:\n", "questions:\n  need: {ask: What for?, field: nede}\nwrite_back:\n",
        [(12, "questions.need.field", "is not a field")],
    ),
    "an answer dated by a number": (
        "write_back:\n", "questions:\n  money: {ask: How much?, field: budget, dated: employees}\nwrite_back:\n",
        [(12, "questions.money.dated", "where a date is needed")],
    ),
    "an answer good for some time since no day": (
        "write_back:\n", "questions:\n  money: {ask: How much?, field: budget, good_for: 90d}\nwrite_back:\n",
        [(12, "questions.money", "good_for needs dated")],
    ),
    "a sum of nothing": (
        "write_back:\n", "behaviour:\n  spent: {of: purchase, take: sum}\nwrite_back:\n",
        [(12, "behaviour.spent", "needs value")],
    ),
    "a stage that looks at stages": (
        "mql: {when: {", "mql: {when: {stage: sql, ", [(22, "stages.mql.when.stage", "a stage cannot look at it")],
    ),
    "a journey phase that looks at itself": (
        "awareness: {", "awareness: {buyer_journey: decision, ",
        [(24, "buyer_journey.awareness.buyer_journey", "is what this decides")],
    ),
    "a score without its name": (
        SMALL, "small: {score.fit: {above: 3}}", [(26, "segments.small.score.fit", "such as score.lead.fit")],
    ),
    "unknown score": (
        SMALL, "small: {score.laed: {above: 3}}", [(26, "segments.small.score.laed", "is not a field")],
    ),
    "a matrix shown that is none": (
        "write_back:\n", "write_back:\n  matrix: {hubspot: leadbridge_matrix}\n",
        [(12, "write_back.matrix", "needs scores.lead.matrix")],
    ),
    "a fallback of a number that is none": (
        SCORE, "score: {mailchimp: LBSCORE, fallback: none yet}",
        [(12, "write_back.score.fallback", "is no number, and score is one")],
    ),
    "a fallback without a merge field": (
        SCORE, "score: {hubspot: leadbridge_score, fallback: '0'}",
        [(12, "write_back.score", "there is none; add mailchimp")],
    ),
    "tags of what is no segment": (
        SCORE, SCORE + "\n  stage: {hubspot: leadbridge_stage, tags: {small: lb-small}}",
        [(13, "write_back.stage.tags", "write them under write_back.segments")],
    ),
    "tags of segments that are wrong in every way": (
        SCORE, SCORE + "\n  segments:\n    tags:\n      smal: lb-smal\n      small: LB-Guides\n      tiny: LB-Smal",
        [
            (15, "write_back.segments.tags.smal", "there is: small"),
            (16, "write_back.segments.tags.small", "which only the gate may do"),
            (17, "write_back.segments.tags.tiny", "is another segment's tag too (line 15)"),
            (17, "write_back.segments.tags.tiny", "is the tag of no segment"),
        ],
    ),
    "a network that is none": (
        "write_back:\n", "machines: {networks: [203.0.113.0/24, 203.0.113.7/24]}\nwrite_back:\n",
        [(11, "machines.networks", "203.0.113.7/24 has host bits set); write it as 203.0.113.0/24")],
    ),
    "a condition on a matrix that is none": (
        SMALL, "small: {matrix.lead: A1}", [(26, "segments.small.matrix.lead", "this score has no matrix")],
    ),
    "a cell that is none": (
        "    grades: {A: 30, B: 10}", "    matrix: {}\n    grades: {A: 30, B: 10}\n    applies_to: {grade.lead: A}",
        [(21, "scores.lead.applies_to.grade.lead", "a rule cannot look at it")],
    ),
    "steps that are no lengths of time": (
        "points: 8}", "points: 8, steps: {week: 1}}", [(18, "scores.lead.rules[1].steps", "length of time")],
    ),
    "unknown named list": (
        HEAD, "when: {email_domain: {in: free_mail_domain}}",
        [(17, "scores.lead.rules[0].when.email_domain.in", "allowed: free_mail_domains, eu_countries")],
    ),
    "a persona that looks at a score": (
        "write_back:\n", PERSONA.replace("country: NO", "score.lead: 5") + "write_back:\n",
        [(14, "personas.maria.traits[0].when.score.lead", "a persona cannot look at it")],
    ),
    "a persona that looks at personas": (
        "write_back:\n", PERSONA.replace("country: NO", "persona.maria: 5") + "write_back:\n",
        [(14, "personas.maria.traits[0].when.persona.maria", "a persona cannot look at it")],
    ),
    "a trait that says nothing": (
        "write_back:\n", PERSONA.replace("weight: 2", "weight: 0") + "write_back:\n",
        [(14, "personas.maria.traits[0].weight", "must be more than 0")],
    ),
    "two traits of one name": (
        "write_back:\n", PERSONA + "      - {name: here, when: {country: SE}}\nwrite_back:\n",
        [(15, "personas.maria.traits[1].name", "is the name of another trait")],
    ),
    "a persona there is not": (
        "write_back:\n", PERSONA + "write_back:\n  persona.mario: {hubspot: lb_mario}\n",
        [(16, "write_back.persona.mario", "is no value of leadbridge's")],
    ),
    "a persona where there are none": (
        SMALL, "small: {persona: maria}", [(26, "segments.small.persona", "is not a field")],
    ),
    "a score whose least is its most": (
        "    grades: {A: 30", "    max: 0\n    grades: {A: 30",
        [(14, "scores.lead", "min 0 is not below max 0")],
    ),
    "a sequence without its time": (
        "activity: page_view,", "activity: page_view, sequence: {then: call},",
        [(18, "scores.lead.rules[1].sequence", "needs within")],
    ),
    "a sequence of a kind there is not": (
        "activity: page_view,", "activity: page_view, sequence: {then: phone, within: 7d},",
        [(18, "scores.lead.rules[1].sequence.then", "cannot be 'phone'")],
    ),
    "a sequence whose condition is wrong": (
        "activity: page_view,", "activity: page_view, sequence: {then: call, within: 7d, where: {outcome: {is: x}}},",
        [(18, "scores.lead.rules[1].sequence.where.outcome.is", "is no test")],
    ),
    "the first of several": (
        "activity: page_view,", "activity: page_view, first_only: true, at_most: 2,",
        [(18, "scores.lead.rules[1]", "first_only counts one activity")],
    ),
    "a list of words where values are wanted": (
        SMALL, "small: {country: {in: decision_makers}}",
        [(26, "segments.small.country.in", "write {words: decision_makers}")],
    ),
    "a list of values where words are wanted": (
        SMALL, "small: {country: {words: [norway, eu_countries]}}",
        [(26, "segments.small.country.words", "write {in: eu_countries}")],
    ),
    "a slip in the name of a list of words": (
        HEAD, "when: {job_title: {words: [vp, job_level_c_suit]}}",
        [(17, "scores.lead.rules[0].when.job_title.words", "is no list of words")],
    ),
    "a pattern that is none": (
        HEAD, "when: {job_title: {matches: '(vp'}}",
        [(17, "scores.lead.rules[0].when.job_title.matches", "is no pattern: missing ): (vp")],
    ),
    "a pattern that looks ahead": (
        HEAD, "when: {job_title: {matches: ['^vp', 'vp(?=x)']}}",
        [(17, "scores.lead.rules[0].when.job_title.matches", "look-ahead")],
    ),
    "a pattern that would take much memory": (
        HEAD, "when: {job_title: {matches: '((a{100}){100}){100}'}}",
        [(17, "scores.lead.rules[0].when.job_title.matches", "invalid repetition size")],
    ),
    "an empty pattern": (
        HEAD, "when: {job_title: {matches: ''}}",
        [(17, "scores.lead.rules[0].when.job_title.matches", "is an empty pattern")],
    ),
    "a pattern for a number": (
        SMALL, "small: {employees: {matches: '5'}}", [(26, "segments.small.employees.matches", "a whole number")],
    ),
    "a named list for a number": (
        SMALL, "small: {employees: {in: eu_countries}}", [(26, "segments.small.employees.in", "needs a list")],
    ),
    "an empty list": (SMALL, "small: {country: {in: []}}", [(26, "segments.small.country.in", "at least one value")]),
    "at_least on a text": (
        SMALL, "small: {country: {at_least: 5}}", [(26, "segments.small.country.at_least", "country, which is a text")],
    ),
    "contains on a number": (
        SMALL, "small: {employees: {contains: '5'}}", [(26, "segments.small.employees.contains", "a whole number")],
    ),
    "within on a text": (
        SMALL, "small: {country: {within: 5d}}", [(26, "segments.small.country.within", "country, which is a text")],
    ),
    "words on a date": (
        SMALL, "small: {renewal: {words: [may]}}", [(26, "segments.small.renewal.words", "within, older_than")],
    ),
    "in on a truth": (SMALL, "small: {partner: {in: [true]}}", [(26, "segments.small.partner.in", "is_not, present")]),
    "a text where the field is a number": (
        SMALL, "small: {budget: {in: [5, many]}}", [(26, "segments.small.budget.in[1]", "needs a number")],
    ),
    "a test that is none": (
        SMALL, "small: {employees: {atleast: 5}}", [(26, "segments.small.employees.atleast", "is no test")],
    ),
    "a list where a test belongs": (
        SMALL, "small: {country: [NO, SE]}", [(26, "segments.small.country", "{in: [first, second]}")],
    ),
    "an empty condition": (SMALL, "small: {}", [(26, "segments.small", "needs at least one field and its test")]),
    "a condition that is a word": (SMALL, "small: yes", [(26, "segments.small", "needs at least one field")]),
    "all without a list": (
        SMALL, "small: {all: {country: NO}}",
        [(26, "segments.small.all", "needs a list of conditions")],
    ),
    "between the wrong way round": (
        SMALL, "small: {budget: {between: [9, 1]}}", [(26, "segments.small.budget", "the smaller number first")],
    ),
    "between with one end": (
        SMALL, "small: {budget: {between: [9]}}", [(26, "segments.small.budget.between", "needs two numbers")],
    ),
    "a length of time without unit": (
        SMALL, "small: {renewal: {within: 30}}", [(26, "segments.small.renewal.within", "needs a unit: 30d for days")],
    ),
    "unknown stage in a condition": (
        GUIDES, GUIDES.replace("segment: small", "stage: mqll"),
        [(29, "nurture.journeys[0].when.stage", "never occurs")],
    ),
    "unknown lifecycle stage": (
        SMALL, "small: {lifecycle_stage: marketingqualifiedlead}",
        [(26, "segments.small.lifecycle_stage", "subscriber, lead, mql")],
    ),
    "unknown grade": (
        SMALL, "small: {grade.lead: {in: [A, C]}}", [(26, "segments.small.grade.lead.in[1]", "allowed: A, B")],
    ),
    "unknown segment": (
        "segment: small", "segment: {in: [small, smal]}",
        [(29, "nurture.journeys[0].when.segment.in[1]", "allowed: small")],
    ),
    "is_not on a segment": (
        "segment: small", "segment: {is_not: small}", [(29, "nurture.journeys[0].when.segment.is_not", "equals, in")],
    ),
    "a segment of itself": (
        SMALL, SMALL + "\n  tiny: {segment: huge}\n  huge: {any: [{segment: {in: [small, tiny]}}]}",
        [(28, "segments.huge", "goes round in a circle: huge → tiny → huge")],
    ),
    "unknown category": (
        "pricing page, category: engagement", "pricing page, category: engagment",
        [(18, "scores.lead.rules[1].category", "allowed: fit, engagement")],
    ),
    "two rules of one name": (
        "name: pricing page", "name: Decision Maker",
        [(18, "scores.lead.rules[1].name", "is the name of another rule of this score (line 17)")],
    ),
    "a value that is none of ours": (
        SCORE, "scroe: {hubspot: leadbridge_score}",
        [(12, "write_back.scroe", "there is: score, grade, matrix, stage")],
    ),
    "a property read and written": (
        SCORE, "score: {hubspot: budget_amount}", [(12, "write_back.score.hubspot", "is read as the field budget too")],
    ),
    "two values on one property": (
        SCORE, SCORE + "\n  grade: {hubspot: leadbridge_score, mailchimp: LBSCORE}",
        [(13, "write_back.grade.hubspot", "(line 12)"), (13, "write_back.grade.mailchimp", "(line 12)")],
    ),
    "a value written nowhere": (SCORE, "score: {}", [(12, "write_back.score", "does not say where to write it")]),
    "a person's name overwritten": (
        SCORE, "score: {hubspot: firstname, mailchimp: FNAME}",
        [(12, "write_back.score.hubspot", "would be overwritten"), (12, "write_back.score.mailchimp", "overwritten")],
    ),
    "a number in HubSpot's stage": (
        SCORE, "score: {hubspot: lifecyclestage}",
        [(12, "write_back.score.hubspot", "only our stage may be written to")],
    ),
    "a merge field too long": (
        SCORE, "score: {mailchimp: LEADBRIDGESCORE}",
        [(12, "write_back.score.mailchimp", "at most 10 capital letters")],
    ),
    "no Mailchimp": (
        MAILCHIMP, "",
        [(11, "write_back.score.mailchimp", "add connections.mailchimp"), (27, "nurture.journeys", "need Mailchimp")],
    ),
    "no HubSpot": (
        '  hubspot: {token: "${HUBSPOT_TOKEN}"}\n', "",
        [(line, None, "add connections.hubspot") for line in (4, 5, 6, 7, 8, 9, 11)],
    ),
    "webhooks without our address": (
        'token: "${HUBSPOT_TOKEN}"', 'token: "${HUBSPOT_TOKEN}", webhook_secret: "${HUBSPOT_APP_SECRET}"',
        [(2, "connections.hubspot.webhook_secret", "needs web.public_url")],
    ),
    "an old secret without a new one": (
        'token: "${HUBSPOT_TOKEN}"', 'token: "${HUBSPOT_TOKEN}", webhook_secret_previous: "${HUBSPOT_APP_SECRET}"',
        [(2, "connections.hubspot", "needs webhook_secret, the one valid now")],
    ),
    "a key that does not say where the account is": (
        "${MAILCHIMP_KEY}", "${HUBSPOT_TOKEN}", [(3, "connections.mailchimp", "no ending such as -us21")],
    ),
    "two journeys of one name": (
        GUIDES, f"{GUIDES}\n    {GUIDES.replace('lb-guides', 'other')}",
        [(30, "nurture.journeys[1].name", "is the name of another journey (line 29)")],
    ),
    "two journeys with one tag": (
        GUIDES, f"{GUIDES}\n    {GUIDES.replace('name: guides', 'name: more')}",
        [(30, "nurture.journeys[1].mailchimp.tag", "people could get it twice (line 29)")],
    ),
    "two spellings of one trigger": (
        GUIDES,
        f"{GUIDES.replace('tag: lb-guides', TRIGGER)}\n    "
        f"{GUIDES.replace('tag: lb-guides', 'trigger: journeys/12/steps/34').replace('name: guides', 'name: more')}",
        [(30, "nurture.journeys[1].mailchimp.trigger", "people could get it twice (line 29)")],
    ),
    "shares of variants that are not the whole": (
        "mailchimp: {tag: lb-guides}", VARIANTS.replace("40%", "30%"),
        [(29, "nurture.journeys[0]", "shares come to 90% (60% + 30%); make them come to 100%")],
    ),
    "a share that is no share": (
        "mailchimp: {tag: lb-guides}", VARIANTS.replace("40%", "0.4"),
        [(29, "nurture.journeys[0].variants[1].share", "such as 10%")],
    ),
    "one variant": (
        "mailchimp: {tag: lb-guides}", "variants: [{name: short, share: 100%, mailchimp: {tag: lb-s}}]",
        [(29, "nurture.journeys[0]", "add another")],
    ),
    "variants beside a way in": (
        "mailchimp: {tag: lb-guides}", f"mailchimp: {{tag: lb-guides}}, {VARIANTS}",
        [(29, "nurture.journeys[0]", "or variants, each with its own")],
    ),
    "a variant that nothing starts": (
        "mailchimp: {tag: lb-guides}", VARIANTS.replace(", mailchimp: {tag: lb-long}", ""),
        [(29, "nurture.journeys[0].variants[1]", "needs one platform that sends it")],
    ),
    "two variants of one name": (
        "mailchimp: {tag: lb-guides}", VARIANTS.replace("long, share", "short, share"),
        [(29, "nurture.journeys[0].variants[1].name", "another variant of the journey (line 29)")],
    ),
    "two variants with one tag": (
        "mailchimp: {tag: lb-guides}", VARIANTS.replace("lb-long", "lb-short"),
        [(29, "nurture.journeys[0].variants[1].mailchimp.tag", "people could get it twice (line 29)")],
    ),
    "a variant that sounds like another journey": (
        GUIDES,
        GUIDES.replace("mailchimp: {tag: lb-guides}", VARIANTS)
        + f"\n    {GUIDES.replace('name: guides', 'name: guides / long')}",
        [(29, "nurture.journeys[0].variants[1].name", "makes the name of another journey")],
    ),
    "tag and trigger": (
        "tag: lb-guides", f"tag: lb-guides, {TRIGGER}", [(29, "nurture.journeys[0].mailchimp", "exactly one of tag")],
    ),
    "a merge field that write_back fills": (
        "tag: lb-guides", "merge_field: LBSCORE=9",
        [(29, "nurture.journeys[0].mailchimp.merge_field", "write_back fills")],
    ),
    "a merge field without a value": (
        "tag: lb-guides", "merge_field: LBNEXT", [(29, "nurture.journeys[0].mailchimp.merge_field", "LBNEXT=guides")],
    ),
    "an exit that is the way in": (
        "tag: lb-guides", "tag: lb-guides, exit_tag: LB-guides",
        [(29, "nurture.journeys[0].mailchimp", "choose another exit_tag")],
    ),
    "an exit that is the way into another journey": (
        GUIDES,
        f"{GUIDES}\n    {GUIDES.replace('lb-guides', 'lb-demo, exit_tag: LB-Guides').replace('guides', 'demo', 1)}",
        [(30, "nurture.journeys[1].mailchimp.exit_tag", "starts another journey (line 29)")],
    ),
    "two ways into HubSpot": (
        'token: "${HUBSPOT_TOKEN}"', 'token: "${HUBSPOT_TOKEN}", client_id: abc',
        [(2, "connections.hubspot", "two ways in; keep one")],
    ),
    "half of an OAuth app": (
        'token: "${HUBSPOT_TOKEN}"', 'client_id: abc, refresh_token: "${HUBSPOT_APP_SECRET}"',
        [(2, "connections.hubspot", "lacks client_secret, or a token")],
    ),
    "key and token": (
        "audience: a36b032126", 'audience: a36b032126, access_token: "${HUBSPOT_TOKEN}"',
        [(3, "connections.mailchimp", "exactly one of api_key and access_token")],
    ),
    "key and app": (
        "audience: a36b032126", 'audience: a36b032126, client_id: abc, client_secret: "${HUBSPOT_TOKEN}"',
        [(3, "connections.mailchimp", "exactly one of api_key and access_token")],
    ),
    "a trigger that is none": (
        "tag: lb-guides", "trigger: https://us6.admin.mailchimp.com/journeys/12",
        [(29, "nurture.journeys[0].mailchimp.trigger", "copy it from the journey builder")],
    ),
    "grades that begin together": ("B: 10", "B: 30", [(19, "scores.lead.grades.B", "begins at 30, as A does")]),
    "a grade out of reach": ("A: 30", "A: 50", [(19, "scores.lead.grades.A", "which fit cannot reach: its max is 40")]),
    "grades upside down": (
        "{A: 30, B: 10}", "{A: 10, B: 30}",
        [(19, "scores.lead.grades.B", "begins at 30, but A, which stands before it, at 10")],
    ),
    "grades from nowhere": (
        "    grades:", "    grade_from: money\n    grades:",
        [(14, "scores.lead", "grades are read from category 'money'")],
    ),
    "stages upside down": (
        "stages:\n", "stages:\n  lead: {when: {score.lead: {at_least: 9}}}\n",
        [(22, "stages.sql", "write it above lead")],
    ),
    "a stage that the CRM gives": (
        "stages:\n", "stages:\n  customer: {when: {score.lead: {at_least: 79}}}\n",
        [(21, "stages.customer", "comes from the CRM")],
    ),
    "an unknown stage": (
        "stages:\n", "stages:\n  sqll: {when: {score.lead: {at_least: 79}}}\n",
        [(21, "stages.sqll", "allowed: subscriber")],
    ),
    "a field with a word of ours": (
        "  country: {", "  segment: {hubspot: seg}\n  country: {", [(6, "fields.segment", "leadbridge's own")],
    ),
    "a field with a name that is none": (
        "  country: {", "  Land-Code: {hubspot: seg}\n  country: {", [(6, "fields.Land-Code", "lower-case letters")],
    ),
    "a property that is none": (
        "hubspot: country", "hubspot: companies.country", [(6, "fields.country.hubspot", "is not a HubSpot property")],
    ),
    "a field read nowhere": ("{hubspot: country}", "{type: text}", [(6, "fields.country", "add hubspot: PROPERTY")]),
    "an unknown type": (
        "type: boolean", "type: bool", [(9, "fields.partner.type", "allowed: text, integer, number, boolean")],
    ),
    "a rule of no sort": (
        ", when: {job_title: {words: [vp, head]}}", "",
        [(17, "scores.lead.rules[0]", "needs one of: when")],
    ),
    "an activity's key without activity": (
        "activity: page_view, ", "", [(18, "scores.lead.rules[1]", "needs one of: when")],
    ),
    "an unknown activity": (
        "activity: page_view", "activity: page_views", [(18, "scores.lead.rules[1].activity", "allowed: page_view")],
    ),
    "where without activity": (
        HEAD, f"{HEAD}, at_most: 3, {WHERE}", [(17, "scores.lead.rules[0]", "where, at_most needs activity: KIND")],
    ),
    "points beyond reason": (
        "points: 15", "points: 1001",
        [(17, "scores.lead.rules[0].points", "must be at most 1000")],
    ),
    "a category upside down": (
        "engagement: {max: 40}", "engagement: {min: 5, max: 4}",
        [(15, "scores.lead.categories.engagement", "min 5 is above max 4")],
    ),
    "no rules": ("    grades:", "    rules: []\n    grades:", [(19, "scores.lead.rules", "is written twice")]),
    "a missing key": ("name: guides, ", "", [(29, "nurture.journeys[0]", "needs name: name in the ledger")]),
    "keys where a value belongs": (
        "points: 15", "points: {at: 15}",
        [(17, "scores.lead.rules[0].points", "not keys below")],
    ),
    "a list where a value belongs": ("points: 15", "points: [15]", [(17, "scores.lead.rules[0].points", "not a list")]),
    "a value where keys belong": (
        "fit: {max: 40}", "fit: 40",
        [(15, "scores.lead.categories.fit", "needs keys below it: min")],
    ),
    "a share that is none": (
        "name: guides,", "name: guides, holdout: 0.1,", [(29, "nurture.journeys[0].holdout", "such as 10%")],
    ),
    "guards loosened in silence": (
        "nurture:\n", "guards: {per_hour: [1000, 1%]}\nnurture:\n", [(27, "guards", "add loosened_on_purpose: true")],
    ),
    "a guard of one value": (
        "nurture:\n", "guards: {per_hour: [10]}\nnurture:\n", [(27, "guards.per_hour", "needs 2 values: count, share")],
    ),
    "plain http to the world": (
        "nurture:\n", "web: {public_url: http://acme.example}\nnurture:\n",
        [(27, "web.public_url", "must begin with https")],
    ),
    "a store that is none": (
        "connections:\n", "store: mysql://db\nconnections:\n",
        [(1, "store", "must be sqlite:///FILE")],
    ),
    "a store without its third slash": (
        "connections:\n", "store: sqlite://leadbridge.db\nconnections:\n",
        [(1, "store", "three slashes stand before its name, as in sqlite:///leadbridge.db")],
    ),
    "a queue that is none": (
        "connections:\n", "store: postgresql://db/x\nqueue: kafka://db\nconnections:\n",
        [(2, "queue", "must be redis://HOST or amqp://")],
    ),
    "a queue over a store that one process has": (
        "connections:\n", "queue: redis://127.0.0.1\nconnections:\n",
        [(1, "queue", "need a store they can share")],
    ),
    "a variable where it has no place": (
        "audience: a36b032126", 'audience: "${AUDIENCE}"',
        [(3, "connections.mailchimp.audience", "must be written out")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CASES.values(), ids=CASES)
def test_a_contradiction_is_told_once_at_its_line(
    old: str,
    new: str,
    expected: list[tuple[int, str | None, str]],
) -> None:
    found = faults_of(changed((old, new)))
    assert [fault.line for fault in found] == [line for line, _, _ in expected]
    for fault, (_, where, words) in zip(found, expected, strict=True):
        assert where is None or fault.where == where
        assert words in fault.problem
        assert not re.search(r"pydantic|input_value|type=|validat|str type|Field required", str(fault))


def test_a_stage_cannot_look_at_stages_through_a_segment() -> None:
    text = changed(
        ("mql: {when: {", "mql: {when: {segment: near, "),
        (SMALL, f"{SMALL}\n  near: {{segment: far}}\n  far: {{stage: mql}}"),
    )
    (fault,) = faults_of(text)
    assert (fault.line, fault.where) == (22, "stages.mql")
    assert fault.problem == "names segment near, which looks at stage; that is worked out only afterwards"


def test_scores_may_take_up_each_other_but_not_in_a_circle() -> None:
    one_way = ("stages:\n", f"{SECOND}stages:\n")
    assert loaded(changed(one_way)).scores["value"].rules[0].each == "score.lead"
    (fault,) = faults_of(changed(one_way, (HEAD, "each: score.value.money")))
    assert fault.problem.startswith("goes round in a circle: lead → value → lead")


def test_segments_that_multiply_without_bound_are_refused() -> None:
    tower = "\n".join(f"  s{n + 1}: {{any: [{{segment: s{n}}}, {{segment: s{n}}}]}}" for n in range(60))
    (fault,) = faults_of(changed((SMALL, f"{SMALL}\n  s0: {{country: NO}}\n{tower}")))[:1]
    assert "stands for more than 2000 tests" in fault.problem


def test_every_circle_of_segments_is_told() -> None:
    circles = "\n".join(f"  a{n}: {{segment: b{n}}}\n  b{n}: {{segment: a{n}}}" for n in range(3))
    found = faults_of(changed((SMALL, f"{SMALL}\n{circles}\n  self: {{not: {{segment: self}}}}")))
    assert sorted(fault.problem.partition(";")[0] for fault in found) == [
        "goes round in a circle: a0 → b0 → a0",
        "goes round in a circle: a1 → b1 → a1",
        "goes round in a circle: a2 → b2 → a2",
        "goes round in a circle: self → self",
    ]


@pytest.mark.parametrize(
    "pairs",
    [
        [(MAILCHIMP, ""), (", mailchimp: LBSCORE", ""), ("nurture:\n", "nurture:\n  enabled: false\n")],
        [("B: 10", "B: 10, C: -20")],
        [("audience: a36b032126", "audience: a36b032126, base_url: http://127.0.0.1:1"),
         ("${MAILCHIMP_KEY}", "${HUBSPOT_TOKEN}")],
        [("nurture:\n", "guards: {per_hour: [1000, 1%], loosened_on_purpose: true}\nnurture:\n")],
        [('token: "${HUBSPOT_TOKEN}"', 'token: "${HUBSPOT_TOKEN}", webhook_secret: "${HUBSPOT_APP_SECRET}"'),
         ("nurture:\n", "web: {public_url: https://leads.acme.example}\nnurture:\n")],
        [(SMALL, "small: {score.lead.fit: {above: 3}, grade.lead: a, stage: MQL, renewal: {older_than: 2w}}")],
        [(SMALL, "small: {email: {present: false}, opted_out: false, email_domain: {not_in: free_mail_domains}}")],
        [(SCORE, f"{SCORE}\n  stage: {{hubspot: lifecyclestage}}")],
        [("words: [vp, head]", "words: head")],
        [("activity: page_view", "activity: [page_view, email_clicked]")],
        [("tag: lb-guides", TRIGGER)],
        [(SMALL, "small: {renewal: {in_next: 60d}, employees: {at_least: 5, at_most: 5}}")],
        [("sql: {when: {score.lead: {at_least: 60}}, until: {score.lead: {below: 45}}}",
          "sql: {when: {score.lead: {at_least: 60}, partner: true}, until: {score.lead: {below: 70}}}")],
    ],
    ids=str,
)  # fmt: skip
def test_what_is_meant_is_not_called_a_fault(pairs: list[tuple[str, str]]) -> None:
    loaded(changed(*pairs))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{or: [{country: NO}]}", "or is written any: [first, second]"),
        ("{AND: [{country: NO}]}", "AND is written all: [first, second]"),
        ("{country: {in: España}}", "did you mean country_es?"),
        ("{renewal: 30d}", "for how long ago or ahead write {within: 30d}, {older_than: 30d} or {in_next: 30d}"),
    ],
)
def test_what_people_write_at_first_is_answered_with_what_to_write(written: str, told: str) -> None:
    (fault,) = faults_of(changed((SMALL, f"small: {written}")))
    assert fault.line == 26
    assert told in str(fault)


def test_values_of_a_known_set_are_read_without_regard_to_case() -> None:
    stage, grade = loaded(changed((SMALL, "small: {stage: MQL, grade.lead: {in: [a, B]}}"))).segments["small"].parts
    assert (stage.test.equals, grade.test.in_) == ("mql", ["A", "B"])


CONSEQUENCES = {
    "a field declared wrongly is a field": ("{hubspot: country}", "{hubspot: 'My Country'}", "small: {country: NO}"),
    "a field of unknown type takes any test": ("type: boolean", "type: bool", "small: {partner: {at_least: 1}}"),
    "a section that cannot be read has unknown names": ("fields:\n", "fields: {\n", "small: {whatever: 1}"),
    "a misspelt key is not missing as well": ("points: 15", "pionts: 15", SMALL),
    "a rule whose condition is wrong has one all the same": (HEAD, "when: {job_titel: vp}", SMALL),
    "a category wrongly bounded is still a category": ("fit: {max: 40}", "fit: {max: forty}", SMALL),
    "a secret that is missing is not too short": ("${MAILCHIMP_KEY}", "${MAILCHIMP_KEYS}", SMALL),
    "a list that holds only wrong items is not empty": ("activity: page_view", "activity: [page_views]", SMALL),
    "a category that cannot be read is one": ("engagement: {max: 40}", "engagement: {min: x}", SMALL),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "segment"), CONSEQUENCES.values(), ids=CONSEQUENCES)
def test_consequences_of_a_fault_are_not_told_again(old: str, new: str, segment: str) -> None:
    found = faults_of(changed((SMALL, segment), (old, new)))
    assert len(found) == 1


def test_faults_of_one_section_are_told_together() -> None:
    rule = "- {name: decision maker, category: fit, when: {job_title: {words: [vp, head]}}, points: 15}"
    text = changed((rule, "- {name: '', category: fit, points: 9999, within: 5, at_most: 0, exclusive: [a], each: }"))
    assert [fault.where.rpartition(".")[2] for fault in faults_of(text)] == [
        "at_most", "each", "exclusive", "name", "points", "within",
    ]  # fmt: skip


@settings(max_examples=30)
@given(st.data())
def test_a_suggestion_is_always_one_of_the_allowed_words_and_like_what_was_written(data: st.DataObject) -> None:
    allowed = [key for key in hints(Rule) if key != "each"]
    key = data.draw(st.sampled_from(allowed))
    letters = list(key)
    place = data.draw(st.integers(0, len(letters) - 1))
    letters[place] = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    word = "".join(letters)
    if word in hints(Rule):
        return
    found = faults_of(changed(("points: 8}", f"points: 8, {word}: 5}}")))
    (fault,) = [fault for fault in found if fault.where.endswith(f".{word}")]
    assert str(fault).count("allowed: name, category, points") == 1
    if fault.hint:
        meant = re.fullmatch(r"did you mean (\w+)\?", fault.hint)
        assert meant
        assert meant[1] in hints(Rule)
        assert SequenceMatcher(None, word, meant[1]).ratio() >= 0.5
