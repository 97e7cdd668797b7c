"""The objects of the pretended org and their standard fields, after recorded describes (vendor page, section 2.2).

A line is ``Name type[(length)|(precision,scale)] flags``. Flags: ``required``; ``ro`` read-only; ``create`` settable on
create only; ``update`` on update only; ``fixed`` without field security; ``hidden`` until a permission set shows it;
``lookup``; ``=value`` default; ``>A,B:Rel`` reference and its relationship name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from leadbridge.sandbox.salesforce.fields import Field

_LINE = re.compile(r"(\w+) ([a-z]+)(?:\((\d+)(?:,(\d+))?\))?(.*)")
_LENGTHS = {"id": 18, "reference": 18, "email": 80, "phone": 40, "url": 255, "picklist": 255, "combobox": 255}
_LENGTHS |= {"string": 255, "textarea": 255}
_DECIMALS = {"currency": (18, 2), "double": (18, 2), "percent": (3, 0)}

_SYSTEM = """
Id id ro fixed
CreatedDate datetime ro fixed
CreatedById reference ro fixed >User:CreatedBy
LastModifiedDate datetime ro fixed
LastModifiedById reference ro fixed >User:LastModifiedBy
SystemModstamp datetime ro fixed
"""
_GROWING = """
Id id ro fixed
CreatedDate datetime ro fixed
CreatedById reference ro fixed >User:CreatedBy
"""
_PERSON = """
LastName string(80) required
FirstName string(40) fixed
Salutation picklist(40) fixed
Name string(121) ro fixed
Title string(128)
Phone phone
MobilePhone phone
Email email lookup
Description textarea(32000)
LeadSource picklist
HasOptedOutOfEmail boolean hidden
DoNotCall boolean hidden
HasOptedOutOfFax boolean hidden
LastActivityDate date ro fixed
IndividualId reference fixed >Individual:Individual
"""
_LEAD = """
MasterRecordId reference ro fixed >Lead:MasterRecord
Company string(255) required
Website url
Industry picklist
Status picklist fixed =Open_-_Not_Contacted
Rating picklist
AnnualRevenue currency(18,0)
NumberOfEmployees int
Street textarea(255)
City string(40)
State string(80)
PostalCode string(20)
Country string(80)
OwnerId reference fixed >User,Group:Owner
IsConverted boolean create fixed
ConvertedDate date ro fixed
ConvertedAccountId reference ro fixed >Account:ConvertedAccount
ConvertedContactId reference ro fixed >Contact:ConvertedContact
ConvertedOpportunityId reference ro fixed >Opportunity:ConvertedOpportunity
IsUnreadByOwner boolean fixed
EmailBouncedReason string(255) update fixed
EmailBouncedDate datetime update fixed
"""
_CONTACT = """
MasterRecordId reference ro fixed >Contact:MasterRecord
AccountId reference >Account:Account
Department string(80)
HomePhone phone
ReportsToId reference >Contact:ReportsTo
Birthdate date
MailingStreet textarea(255)
MailingCity string(40)
MailingState string(80)
MailingPostalCode string(20)
MailingCountry string(80)
OwnerId reference fixed >User:Owner
EmailBouncedReason string(255) fixed
EmailBouncedDate datetime fixed
IsEmailBounced boolean ro fixed
"""
_ACCOUNT = """
MasterRecordId reference ro fixed >Account:MasterRecord
Name string(255) required
Type picklist(40)
ParentId reference >Account:Parent
BillingStreet textarea(255)
BillingCity string(40)
BillingState string(80)
BillingPostalCode string(20)
BillingCountry string(80)
Phone phone
Website url
Industry picklist(40)
AnnualRevenue currency(18,0)
NumberOfEmployees int
Ownership picklist(40)
Description textarea(32000)
Rating picklist(40)
OwnerId reference fixed >User:Owner
LastActivityDate date ro fixed
AccountSource picklist(40)
Sic string(20)
NaicsCode string(8)
YearStarted string(4)
"""
_OPPORTUNITY = """
AccountId reference >Account:Account
Name string(120) required lookup
Description textarea(32000)
StageName picklist required
Amount currency
Probability percent
ExpectedRevenue currency ro
CloseDate date required
Type picklist
NextStep string(255)
LeadSource picklist
IsClosed boolean ro fixed
IsWon boolean ro fixed
ForecastCategory picklist(40) ro fixed
CampaignId reference >Campaign:Campaign
ContactId reference create fixed >Contact:
OwnerId reference fixed >User:Owner
LastActivityDate date ro fixed
LastStageChangeDate datetime ro fixed
"""
_ROLE = """
OpportunityId reference required create fixed >Opportunity:Opportunity
ContactId reference required fixed >Contact:Contact
Role picklist(40) fixed
IsPrimary boolean fixed
"""
_STAGE_HISTORY = """
OpportunityId reference ro fixed >Opportunity:Opportunity
StageName picklist ro fixed
Amount currency ro fixed
Probability percent ro fixed
CloseDate date ro fixed
ForecastCategory picklist(40) ro fixed
"""
_FIELD_HISTORY = """
{kind}Id reference ro fixed >{kind}:{kind}
Field picklist ro fixed
OldValue string(255) ro fixed
NewValue string(255) ro fixed
"""
_CAMPAIGN = """
Name string(80) required
ParentId reference >Campaign:Parent
Type picklist
Status picklist
StartDate date
EndDate date
IsActive boolean
Description textarea(32000)
OwnerId reference fixed >User:Owner
LastActivityDate date ro fixed
"""
_MEMBER = """
CampaignId reference required create fixed >Campaign:Campaign
LeadId reference create fixed >Lead:Lead
ContactId reference create fixed >Contact:Contact
LeadOrContactId reference ro fixed >Lead,Contact:LeadOrContact
Status picklist fixed =Sent
HasResponded boolean ro fixed
FirstRespondedDate date ro fixed
Email email ro fixed
HasOptedOutOfEmail boolean ro hidden
"""
_TASK = """
WhoId reference >Contact,Lead:Who
WhatId reference >Account,Campaign,Opportunity:What
AccountId reference ro fixed >Account:Account
Subject combobox fixed
ActivityDate date fixed
Status picklist fixed =Not_Started
IsClosed boolean ro fixed
Priority picklist fixed =Normal
TaskSubtype picklist create fixed
CallType picklist
CallDurationInSeconds int
CallDisposition string(255)
CompletedDateTime datetime ro fixed
Description textarea(32000)
OwnerId reference fixed >User,Group:Owner
IsArchived boolean ro fixed
"""
_EVENT = """
WhoId reference >Contact,Lead:Who
WhatId reference >Account,Campaign,Opportunity:What
AccountId reference ro fixed >Account:Account
Subject combobox fixed
Location string(255)
IsAllDayEvent boolean
ActivityDateTime datetime fixed
ActivityDate date fixed
DurationInMinutes int fixed
StartDateTime datetime fixed
EndDateTime datetime fixed
EventSubtype picklist(40) create fixed
Description textarea(32000)
OwnerId reference fixed >User:Owner
IsChild boolean ro fixed
IsArchived boolean ro fixed
"""
_EMAIL_MESSAGE = """
ActivityId reference fixed >Task:Activity
RelatedToId reference fixed >Account,Campaign,Opportunity:RelatedTo
Subject string(3000) fixed
TextBody textarea(131072) fixed
FromAddress email(1333) fixed
ToAddress string(4000) fixed
MessageDate datetime fixed
Incoming boolean fixed
Status picklist fixed =Draft
IsTracked boolean fixed
IsOpened boolean ro fixed
FirstOpenedDate datetime fixed
LastOpenedDate datetime fixed
IsBounced boolean fixed
"""
_EMAIL_RELATION = """
EmailMessageId reference required create fixed >EmailMessage:EmailMessage
RelationId reference create fixed >Contact,Lead,User:Relation
RelationType picklist required create fixed
RelationAddress string(320) create fixed
"""
_INDIVIDUAL = """
LastName string(80) required fixed
FirstName string(40) fixed
Name string(121) ro fixed
HasOptedOutTracking boolean fixed
HasOptedOutProfiling boolean fixed
HasOptedOutProcessing boolean fixed
HasOptedOutSolicit boolean fixed
ShouldForget boolean fixed
"""
_USER = """
Username string(80) required fixed
LastName string(80) required fixed
FirstName string(40) fixed
Name string(121) ro fixed
Email email required fixed lookup
IsActive boolean fixed
UserType picklist ro fixed
"""
_PERMISSION_SET = """
Name string(80) required fixed
Label string(80) required fixed
Description string(255) fixed
IsOwnedByProfile boolean ro fixed
"""
_FIELD_PERMISSIONS = """
ParentId reference required create fixed >PermissionSet:Parent
SobjectType string(40) required create fixed
Field string(255) required create fixed
PermissionsRead boolean fixed
PermissionsEdit boolean fixed
"""
_OBJECT_PERMISSIONS = """
ParentId reference required create fixed >PermissionSet:Parent
SobjectType string(40) required create fixed
PermissionsRead boolean fixed
PermissionsCreate boolean fixed
PermissionsEdit boolean fixed
PermissionsDelete boolean fixed
PermissionsViewAllRecords boolean fixed
PermissionsModifyAllRecords boolean fixed
"""
_ASSIGNMENT = """
PermissionSetId reference required create fixed >PermissionSet:PermissionSet
AssigneeId reference required create fixed >User:Assignee
"""
_ORGANIZATION = """
Name string(80) required fixed
OrganizationType picklist ro fixed
IsSandbox boolean ro fixed
"""

_INDUSTRIES = (
    "Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction", "Consulting",
    "Education", "Electronics", "Energy", "Engineering", "Entertainment", "Environmental", "Finance", "Food & Beverage",
    "Government", "Healthcare", "Hospitality", "Insurance", "Machinery", "Manufacturing", "Media", "Not For Profit",
    "Recreation", "Retail", "Shipping", "Technology", "Telecommunications", "Transportation", "Utilities", "Other",
)  # fmt: skip
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_RATINGS = ("Hot", "Warm", "Cold")
STAGES = (
    "Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers",
    "Perception Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost",
)  # fmt: skip
_VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("Lead", "Status"): ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    ("Lead", "Industry"): _INDUSTRIES,
    ("Account", "Industry"): _INDUSTRIES,
    ("Lead", "LeadSource"): _SOURCES,
    ("Contact", "LeadSource"): _SOURCES,
    ("Opportunity", "LeadSource"): _SOURCES,
    ("Lead", "Rating"): _RATINGS,
    ("Account", "Rating"): _RATINGS,
    ("Opportunity", "StageName"): STAGES,
    ("OpportunityContactRole", "Role"): (
        "Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator",
        "Executive Sponsor", "Influencer", "Technical Buyer", "Other",
    ),
    ("EmailMessageRelation", "RelationType"): ("ToAddress", "CcAddress", "BccAddress", "FromAddress", "OtherAddress"),
    ("CampaignMember", "Status"): ("Sent", "Responded"),
    ("Task", "Status"): ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
    ("Task", "Priority"): ("High", "Normal", "Low"),
    ("Task", "TaskSubtype"): ("Task", "Email", "Call", "ListEmail", "Cadence"),
    ("Task", "CallType"): ("Internal", "Inbound", "Outbound"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One sObject. ``recycles``: rows go to the recycle bin and have IsDeleted; ``replicates``: /updated, /deleted."""

    name: str
    prefix: str
    plural: str
    lines: str
    recycles: bool = True
    replicates: bool = True
    writes: bool = True
    stamped: bool = True  # has LastModified* and SystemModstamp
    assigns: bool = False  # an assignment rule may move the owner (section 4.3)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Lead", "00Q", "Leads", _PERSON + _LEAD, assigns=True),
        Kind("Contact", "003", "Contacts", _PERSON + _CONTACT),
        Kind("Account", "001", "Accounts", _ACCOUNT, assigns=True),
        Kind("Opportunity", "006", "Opportunities", _OPPORTUNITY),
        Kind("OpportunityContactRole", "00K", "Opportunity Contact Roles", _ROLE),
        Kind(
            "OpportunityHistory",
            "008",
            "Opportunity Histories",
            _STAGE_HISTORY,
            recycles=False,
            replicates=False,
            writes=False,
        ),
        *(
            Kind(
                f"{name}History",
                prefix,
                f"{name} Histories",
                _FIELD_HISTORY.format(kind=name),
                replicates=False,
                writes=False,
                stamped=False,
            )
            for name, prefix in (("Lead", "017"), ("Contact", "0Hs"))  # 017 both, live; here a row is found by it
        ),
        Kind("Campaign", "701", "Campaigns", _CAMPAIGN),
        Kind("CampaignMember", "00v", "Campaign Members", _MEMBER),
        Kind("Task", "00T", "Tasks", _TASK),
        Kind("Event", "00U", "Events", _EVENT),
        Kind("EmailMessage", "02s", "Email Messages", _EMAIL_MESSAGE),
        Kind("EmailMessageRelation", "0Vc", "Email Message Relations", _EMAIL_RELATION),  # no prefix of its own, live
        Kind("Individual", "0PK", "Individuals", _INDIVIDUAL),
        Kind("User", "005", "Users", _USER, recycles=False),
        Kind("Organization", "00D", "Organizations", _ORGANIZATION, recycles=False, replicates=False, writes=False),
        Kind("PermissionSet", "0PS", "Permission Sets", _PERMISSION_SET, recycles=False, replicates=False),
        Kind("FieldPermissions", "01k", "Field Permissions", _FIELD_PERMISSIONS, recycles=False, replicates=False),
        Kind("ObjectPermissions", "110", "Object Permissions", _OBJECT_PERMISSIONS, recycles=False, replicates=False),
        Kind("PermissionSetAssignment", "0Pa", "Assignments", _ASSIGNMENT, recycles=False, replicates=False),
    )
}
BY_PREFIX = {kind.prefix: kind for kind in KINDS.values()}
_BY_FOLD = {name.lower(): kind for name, kind in KINDS.items()}


def kind_of(name: str) -> Kind | None:
    """By API name in any case, as Salesforce finds it."""
    return _BY_FOLD.get(name.lower())


@cache
def standard_fields(name: str) -> dict[str, Field]:
    """The standard fields of one object, by API name, in the order of describe. Not to be changed."""
    kind = KINDS[name]
    lines = (
        (_SYSTEM if kind.stamped else _GROWING) + ("IsDeleted boolean ro fixed\n" if kind.recycles else "") + kind.lines
    )
    found = [_field(name, line) for line in lines.split("\n") if line]
    return {field.name: field for field in found}


def _field(kind: str, line: str) -> Field:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ValueError(f"unreadable field line: {line}")
    name, form, first, second, rest = parts.groups()
    flags = rest.split()
    reference = next((flag[1:] for flag in flags if flag.startswith(">")), "")
    targets, _, relationship = reference.partition(":")
    default = next((flag[1:].replace("_", " ") for flag in flags if flag.startswith("=")), None)
    precision, scale = (int(first or 18), int(second or 0)) if second else _DECIMALS.get(form, (0, 0))
    required, system = "required" in flags, "ro" in flags and name in _ALWAYS_SET
    return Field(
        name,
        form,
        _label(kind, name),
        length=int(first) if first and not second else _LENGTHS.get(form, 0),
        precision=precision,
        scale=scale,
        createable=not {"ro", "update"} & set(flags),
        updateable=not {"ro", "create"} & set(flags),
        nillable=not required and not system and form != "boolean" and default is None and name != "OwnerId",
        default=default,
        permissionable=not ({"fixed", "required"} & set(flags)),
        visible="hidden" not in flags,
        refers_to=tuple(targets.split(",")) if targets else (),
        relationship=relationship or None,
        values=_VALUES.get((kind, name), ()),
        id_lookup="lookup" in flags,
    )


_ALWAYS_SET = {"Id", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "Name"}


def _label(kind: str, name: str) -> str:
    if name == "Id":
        return f"{kind} ID"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r" Id$", " ID", words)
