"""HubSpot-defined properties, as far as scoring meets them (vendor page, sections 8.3 and 8.4).

One line per spelling of ``type``; a name with ``!`` in front has a read-only value, with ``-`` it is hidden.
"""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """One allowed value of an enumeration."""

    label: str
    value: str
    displayOrder: int  # noqa: N815 - the vendor's spelling, so that the wire shape is the attribute dict
    hidden: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """One definition. Attributes which nobody here computes with ride along in ``extra``."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    description: str = ""
    options: tuple[Option, ...] = ()
    read_only: bool = False
    hidden: bool = False
    unique: bool = False
    form_field: bool = False
    display_order: int = -1
    external_options: bool = False
    hubspot_defined: bool = False
    archived: bool = False
    sensitivity: str = "non_sensitive"
    created: str = "2019-08-06T02:41:08.204Z"
    updated: str = "2019-08-06T02:41:08.204Z"

    @property
    def multiple(self) -> bool:
        return self.type == "enumeration" and self.field_type == "checkbox"

    def as_json(self) -> dict[str, Any]:
        """The answer of section 8.1; ``archived`` is absent on what HubSpot defined."""
        answer = {
            "updatedAt": self.updated,
            "createdAt": self.created,
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [asdict(option) for option in self.options],
            "displayOrder": self.display_order,
            "calculated": False,
            "externalOptions": self.external_options,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "modificationMetadata": {
                "archivable": not self.hubspot_defined,
                "readOnlyDefinition": self.hubspot_defined,
                "readOnlyValue": self.read_only,
            },
            "formField": self.form_field,
            "dataSensitivity": self.sensitivity,
        }
        if self.hubspot_defined:
            answer["hubspotDefined"] = True
        else:
            answer |= {"archived": self.archived, "createdUserId": "1", "updatedUserId": "1"}
        return answer


SHAPES = {
    "string": ("string", "text"),
    "textarea": ("string", "textarea"),
    "phone": ("string", "phonenumber"),
    "number": ("number", "number"),
    "date": ("date", "date"),
    "datetime": ("datetime", "date"),
    "bool": ("bool", "booleancheckbox"),
    "enum": ("enumeration", "select"),
    "multi": ("enumeration", "checkbox"),
}
_STAGES = (
    "subscriber lead marketingqualifiedlead salesqualifiedlead opportunity customer evangelist other".split()  # noqa: SIM905
)
STAGE_LABELS = dict(
    zip(
        _STAGES,
        (
            "Subscriber",
            "Lead",
            "Marketing Qualified Lead",
            "Sales Qualified Lead",
            "Opportunity",
            "Customer",
            "Evangelist",
            "Other",
        ),
        strict=True,
    )
)
_SOURCES = (
    "ORGANIC_SEARCH PAID_SEARCH EMAIL_MARKETING SOCIAL_MEDIA REFERRALS OTHER_CAMPAIGNS DIRECT_TRAFFIC OFFLINE "
    "PAID_SOCIAL"
)
_SALES_ACTIVITIES = (
    "COMPANYPROSPECTS_REVISIT PRESENTATION_REVISIT EMAIL_CLICK EMAIL_OPEN EMAIL_REPLY FORM_SUBMITTED MEETING_BOOKED "
    "HUBSPOT_REVISIT"
)
_INDUSTRIES = (
    "ACCOUNTING AIRLINES_AVIATION APPAREL_FASHION ARCHITECTURE_PLANNING AUTOMOTIVE AVIATION_AEROSPACE BANKING "
    "BIOTECHNOLOGY BROADCAST_MEDIA BUILDING_MATERIALS CHEMICALS CIVIL_ENGINEERING COMPUTER_GAMES COMPUTER_HARDWARE "
    "COMPUTER_NETWORKING COMPUTER_NETWORK_SECURITY COMPUTER_SOFTWARE CONSTRUCTION CONSUMER_ELECTRONICS CONSUMER_GOODS "
    "CONSUMER_SERVICES COSMETICS DESIGN E_LEARNING EDUCATION_MANAGEMENT ELECTRICAL_ELECTRONIC_MANUFACTURING "
    "ENTERTAINMENT ENVIRONMENTAL_SERVICES EVENTS_SERVICES FARMING FINANCIAL_SERVICES FOOD_BEVERAGES FOOD_PRODUCTION "
    "FURNITURE GOVERNMENT_ADMINISTRATION HEALTH_WELLNESS_AND_FITNESS HIGHER_EDUCATION HOSPITAL_HEALTH_CARE HOSPITALITY "
    "HUMAN_RESOURCES INDUSTRIAL_AUTOMATION INFORMATION_SERVICES INFORMATION_TECHNOLOGY_AND_SERVICES INSURANCE INTERNET "
    "INVESTMENT_MANAGEMENT LAW_PRACTICE LEGAL_SERVICES LEISURE_TRAVEL_TOURISM LOGISTICS_AND_SUPPLY_CHAIN MACHINERY "
    "MANAGEMENT_CONSULTING MARITIME MARKETING_AND_ADVERTISING MARKET_RESEARCH MECHANICAL_OR_INDUSTRIAL_ENGINEERING "
    "MEDIA_PRODUCTION MEDICAL_DEVICES MINING_METALS NON_PROFIT_ORGANIZATION_MANAGEMENT OIL_ENERGY ONLINE_MEDIA "
    "OUTSOURCING_OFFSHORING PACKAGE_FREIGHT_DELIVERY PACKAGING_AND_CONTAINERS PAPER_FOREST_PRODUCTS PHARMACEUTICALS "
    "PLASTICS PRIMARY_SECONDARY_EDUCATION PRINTING PROFESSIONAL_TRAINING_COACHING PUBLIC_RELATIONS_AND_COMMUNICATIONS "
    "PUBLISHING REAL_ESTATE RECREATIONAL_FACILITIES_AND_SERVICES RENEWABLES_ENVIRONMENT RESEARCH RESTAURANTS RETAIL "
    "SECURITY_AND_INVESTIGATIONS SEMICONDUCTORS SPORTS STAFFING_AND_RECRUITING TELECOMMUNICATIONS TEXTILES "
    "TRANSLATION_AND_LOCALIZATION TRANSPORTATION_TRUCKING_RAILROAD "
    "UTILITIES VENTURE_CAPITAL_PRIVATE_EQUITY WAREHOUSING WHOLESALE WIRELESS "
    "WRITING_AND_EDITING"
)
OPTIONS = {
    name: values.split()
    for name, values in {
        "numemployees": "1-5 5-25 25-50 50-100 100-500 500-1000 1000+",
        "hs_buying_role": "BLOCKER BUDGET_HOLDER CHAMPION DECISION_MAKER END_USER EXECUTIVE_SPONSOR INFLUENCER "
        "LEGAL_AND_COMPLIANCE OTHER",
        "hs_lead_status": "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING",
        "hs_analytics_source": _SOURCES,
        "hs_latest_source": _SOURCES,
        "hs_last_sales_activity_type": _SALES_ACTIVITIES,
        "hs_email_hard_bounce_reason_enum": "CONTENT MAILBOX_FULL OTHER POLICY SPAM UNKNOWN_USER",
        "hs_marketable_status": "true false",
        "hs_language": "en de fr es it nl pt pl ja zh",
        "hs_persona": "persona_1 persona_2 persona_3",
        "hs_timezone": "us_slash_eastern us_slash_pacific europe_slash_berlin europe_slash_london asia_slash_tokyo",
        "industry": _INDUSTRIES,
        "type": "PROSPECT PARTNER RESELLER VENDOR OTHER",
        "hs_ideal_customer_profile": "tier_1 tier_2 tier_3",
        "dealstage": "appointmentscheduled qualifiedtobuy presentationscheduled decisionmakerboughtin contractsent "
        "closedwon closedlost",
        "pipeline": "default",
        "dealtype": "newbusiness existingbusiness",
        "hs_meeting_outcome": "SCHEDULED COMPLETED RESCHEDULED NO_SHOW CANCELED",
        "hs_call_direction": "INBOUND OUTBOUND",
        "hs_call_status": "COMPLETED NO_ANSWER BUSY FAILED CANCELED QUEUED RINGING IN_PROGRESS CONNECTING "
        "CALLING_CRM_USER MISSED",
        "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7 73a0d17f-1163-4015-bdd5-ec830791da20 "
        "9d9162e7-6cf3-4944-bf63-4dff82258764 b2cf5968-551e-4856-9783-52b3da59a7d0 "
        "a4c4c377-d246-4b32-a13b-75a56a4cd0ff 17b47fee-58de-441e-a44c-c6300d46f273",
        "hs_email_direction": "EMAIL INCOMING_EMAIL FORWARDED_EMAIL",
        "hs_email_status": "SENT BOUNCED FAILED SCHEDULED SENDING",
        "hs_task_status": "NOT_STARTED COMPLETED WAITING IN_PROGRESS DEFERRED",
        "hs_task_type": "CALL EMAIL TODO",
        "hs_task_priority": "LOW MEDIUM HIGH NONE",
        "hs_pipeline": "0",
        "hs_pipeline_stage": "1 2 3 4",
        "hs_ticket_priority": "LOW MEDIUM HIGH URGENT",
        "hs_ticket_category": "PRODUCT_ISSUE BILLING_ISSUE FEATURE_REQUEST GENERAL_INQUIRY",
        "hs_communication_channel_type": "SMS WHATS_APP LINKEDIN_MESSAGE",
        "hs_communication_logged_from": "CRM",
    }.items()
}
OPTIONS["hs_legal_basis"] = [
    "Legitimate interest – prospect/lead",
    "Legitimate interest – existing customer",
    "Legitimate interest - other",
    "Performance of a contract",
    "Freely given consent from contact",
    "Not applicable",
]
_DATED_STAGES = " ".join(f"!hs_lifecyclestage_{stage}_date" for stage in _STAGES)
_ENTERED_STAGES = " ".join(f"!hs_v2_date_entered_{stage}" for stage in _STAGES)
_OWNED = {
    "datetime": "!hubspot_owner_assigneddate",
    "string": "!hs_object_source !hs_object_source_id !hs_object_source_label !hs_merged_object_ids",
    "number": "!hs_object_id",
}
_ACTIVITY = {
    **_OWNED,
    "datetime": "hs_timestamp !hs_createdate !hs_lastmodifieddate !hubspot_owner_assigneddate",
}

TABLES: dict[str, dict[str, str]] = {
    "contacts": {
        "string": "email firstname lastname website company jobtitle seniority job_function company_size industry "
        "annualrevenue city state country zip address salutation degree field_of_study school graduation_date "
        "twitterhandle linkedinbio relationship_status military_status hs_linkedin_url !ip_country !ip_country_code "
        "!ip_city !ip_state !ip_state_code !hs_additional_emails !hs_all_contact_vids !hs_merged_object_ids "
        "!hs_calculated_merged_vids !hs_email_domain !hs_pipeline !hs_analytics_first_url !hs_analytics_last_url "
        "!hs_analytics_first_referrer !hs_analytics_last_referrer !hs_analytics_source_data_1 "
        "!hs_analytics_source_data_2 !hs_latest_source_data_1 !hs_latest_source_data_2 "
        "!first_conversion_event_name !recent_conversion_event_name -!hs_calculated_form_submissions "
        "!hs_emailconfirmationstatus !hs_email_last_email_name !hs_object_source !hs_object_source_id "
        "!hs_object_source_label !hs_object_source_detail_1 !hs_full_name_or_email work_email",
        "textarea": "message",
        "phone": "phone mobilephone fax",
        "number": "!hs_object_id -associatedcompanyid !hs_analytics_num_page_views !hs_analytics_num_visits "
        "!hs_analytics_num_event_completions !hs_analytics_average_page_views !hs_email_delivered !hs_email_open "
        "!hs_email_click !hs_email_bounce !hs_email_replied !hs_email_sends_since_last_engagement "
        "!num_conversion_events !num_unique_conversion_events !hs_social_twitter_clicks !hs_social_facebook_clicks "
        "!hs_social_linkedin_clicks !hs_social_google_plus_clicks !hs_social_num_broadcast_clicks followercount "
        "linkedinconnections kloutscoregeneral !num_contacted_notes !num_notes !num_associated_deals "
        "!recent_deal_amount !total_revenue !hs_feedback_last_nps_rating !hubspotscore "
        "!hs_predictivecontactscore_v2 -!hs_v2_cumulative_time_in_lead",
        "date": "date_of_birth start_date",
        "datetime": "!createdate !lastmodifieddate closedate !hs_analytics_first_timestamp "
        "!hs_analytics_last_timestamp !hs_analytics_first_visit_timestamp !hs_analytics_last_visit_timestamp "
        "!hs_email_first_open_date !hs_email_last_open_date !hs_email_first_click_date !hs_email_last_click_date "
        "!hs_email_first_send_date !hs_email_last_send_date !hs_email_first_reply_date !hs_email_last_reply_date "
        "!first_conversion_date !recent_conversion_date !hs_social_last_engagement !hs_sales_email_last_opened "
        "!hs_sales_email_last_clicked !hs_sales_email_last_replied !engagements_last_meeting_booked "
        "!notes_last_contacted !notes_last_updated !notes_next_activity_date !hs_last_sales_activity_timestamp "
        "!hs_document_last_revisited !recent_deal_close_date !first_deal_created_date !hs_latest_source_timestamp "
        f"!hubspot_owner_assigneddate {_DATED_STAGES} {_ENTERED_STAGES}",
        "bool": "!hs_email_optout !hs_email_bad_address !hs_email_quarantined !hs_is_unworked !hs_is_contact "
        "!hs_sequences_is_enrolled -!hs_facebook_ad_clicked -!hs_linkedin_ad_clicked",
        "enum": "numemployees hs_persona hs_language hs_timezone lifecyclestage hs_lead_status hubspot_owner_id "
        "!hs_analytics_source !hs_latest_source !hs_email_hard_bounce_reason_enum !hs_last_sales_activity_type "
        "!hs_marketable_status",
        "multi": "hs_buying_role hs_legal_basis",
    },
    "companies": {
        "string": "name domain website hs_industry_group hs_employee_range city state country hs_country_code zip "
        "address founded_year hs_annual_revenue_currency_code twitterhandle linkedin_company_page "
        "!hs_additional_domains !hs_merged_object_ids !hs_object_source !hs_object_source_id !hs_object_source_label",
        "textarea": "description web_technologies",
        "phone": "phone",
        "number": "!hs_object_id numberofemployees annualrevenue !num_associated_contacts !num_associated_deals "
        "!hs_num_open_deals !total_revenue !recent_deal_amount !hubspotscore !hs_intent_page_views_last_30_days "
        "!hs_intent_visitors_last_30_days !hs_analytics_num_page_views !hs_analytics_num_visits",
        "datetime": "!createdate !hs_lastmodifieddate !hs_last_sales_activity_timestamp !hs_last_logged_call_date "
        f"!hs_last_booked_meeting_date !notes_last_contacted !recent_deal_close_date !first_deal_created_date "
        f"closedate !hubspot_owner_assigneddate {_DATED_STAGES}",
        "bool": "is_public hs_is_target_account",
        "enum": "industry type hs_ideal_customer_profile lifecyclestage hs_lead_status hubspot_owner_id "
        "!hs_last_sales_activity_type",
    },
    "deals": {
        **_OWNED,
        "string": f"dealname deal_currency_code {_OWNED['string']}",
        "textarea": "description closed_lost_reason",
        "number": "!hs_object_id amount !hs_deal_stage_probability !num_associated_contacts",
        "datetime": "createdate closedate !hs_lastmodifieddate !hubspot_owner_assigneddate",
        "bool": "!hs_is_closed !hs_is_closed_won",
        "enum": "dealstage pipeline dealtype hubspot_owner_id",
    },
    "tickets": {
        **_OWNED,
        "string": f"subject {_OWNED['string']}",
        "textarea": "content",
        "datetime": "createdate !hs_lastmodifieddate closed_date !hubspot_owner_assigneddate",
        "enum": "hs_pipeline hs_pipeline_stage hs_ticket_priority hs_ticket_category hubspot_owner_id",
    },
    "meetings": {
        **_ACTIVITY,
        "datetime": f"hs_meeting_start_time hs_meeting_end_time {_ACTIVITY['datetime']}",
        "string": f"hs_meeting_title hs_activity_type hs_meeting_location hs_meeting_external_url {_OWNED['string']}",
        "textarea": "hs_meeting_body hs_internal_meeting_notes",
        "enum": "hs_meeting_outcome hubspot_owner_id",
    },
    "calls": {
        **_ACTIVITY,
        "string": f"hs_call_title hs_call_from_number hs_call_to_number hs_activity_type {_OWNED['string']}",
        "textarea": "hs_call_body",
        "number": "!hs_object_id hs_call_duration",
        "enum": "hs_call_direction hs_call_status hs_call_disposition hubspot_owner_id",
    },
    "emails": {
        **_ACTIVITY,
        "string": f"hs_email_subject hs_email_headers hs_email_to_email hs_email_from_email {_OWNED['string']}",
        "textarea": "hs_email_text hs_email_html",
        "enum": "hs_email_direction hs_email_status hubspot_owner_id",
    },
    "tasks": {
        **_ACTIVITY,
        "string": f"hs_task_subject {_OWNED['string']}",
        "textarea": "hs_task_body",
        "enum": "hs_task_status hs_task_type hs_task_priority hubspot_owner_id",
    },
    "notes": {**_ACTIVITY, "textarea": "hs_note_body", "enum": "hubspot_owner_id"},
    "communications": {
        **_ACTIVITY,
        "textarea": "hs_communication_body",
        "enum": "hs_communication_channel_type hs_communication_logged_from hubspot_owner_id",
    },
}
GROUPS = {
    "contacts": (
        "contactinformation",
        "analyticsinformation",
        "emailinformation",
        "conversioninformation",
        "socialmediainformation",
        "sales_properties",
        "deal_information",
    ),
    "companies": ("companyinformation", "analyticsinformation", "companylifecycle"),
    "deals": ("dealinformation", "deal_information"),
    "tickets": ("ticketinformation",),
}
_GROUP_BY_PREFIX = {
    "hs_analytics_": "analyticsinformation",
    "hs_email_": "emailinformation",
    "hs_social_": "socialmediainformation",
    "first_conversion": "conversioninformation",
    "recent_conversion": "conversioninformation",
}


def _options(name: str) -> tuple[Option, ...]:
    if name == "lifecyclestage":
        return tuple(Option(STAGE_LABELS[value], value, n) for n, value in enumerate(_STAGES))
    values = OPTIONS.get(name, [])
    return tuple(Option(value.replace("_", " ").capitalize(), value, n) for n, value in enumerate(values))


def _group(kind: str, name: str) -> str:
    groups = GROUPS.get(kind, (f"{kind.removesuffix('s')}_activity",))
    return next((g for prefix, g in _GROUP_BY_PREFIX.items() if name.startswith(prefix) and g in groups), groups[0])


@cache
def stock(kind: str) -> dict[str, Property]:
    """The properties every account has for one object type, by name."""
    made: dict[str, Property] = {}
    for shape, words in TABLES[kind].items():
        value_type, field_type = SHAPES[shape]
        for word in words.split():
            name = word.lstrip("!-")
            options = _options(name) if value_type == "enumeration" else ()
            if value_type == "bool":
                options = (Option("True", "true", 0), Option("False", "false", 1))
            made[name] = Property(
                name,
                name.removeprefix("hs_").replace("_", " ").capitalize(),
                value_type,
                "radio" if name == "lifecyclestage" else field_type,
                _group(kind, name),
                options=options,
                read_only="!" in word,
                hidden=word.startswith("-"),
                unique=(kind, name) == ("contacts", "email"),
                form_field=kind == "contacts" and "!" not in word,
                external_options=name == "hubspot_owner_id",
                hubspot_defined=True,
            )
    return made
