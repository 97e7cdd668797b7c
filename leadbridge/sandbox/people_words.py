"""The words and weights from which `people` invents: names, places, titles, pages, habits."""


def _words(text: str) -> list[str]:
    return text.split()


FIRST = _words(
    "Ada Amir Anika Anna Arturo Ayumi Beatriz Björn Camille Carlos Chiara Chloé Daniel Daria Dieter Elena Elif Emil "
    "Eva Farid Fiona Greta Hana Hugo Ines Ivan Jana Jonas Julia Kai Katarzyna Kenji Lars Laura Leo Lina Lucía Marek "
    "Maria Mateo Mei Mia Nadia Nils Noor Olga Omar Paolo Petra Priya Rafael Rosa Samir Sara Sofia Sven Tara Tomas Uma "
    "Vera Viktor Wendy Yara Yusuf Zoë"
)
LAST = _words(
    "Abbasi Almeida Andersson Bauer Becker Bianchi Brandt Castillo Chen Costa Dahl Delgado Dubois Eriksen Fischer "
    "Fontaine Garcia Haddad Hansen Hofer Ito Jansen Kaya Keller Kowalska Kumar Lange Lehmann Lindqvist Lopes Maier "
    "Marino Mendes Moreau Nakamura Neumann Novak Nowak Okafor Olsen Patel Pereira Petrov Rahman Richter Rossi Sato "
    "Schulz Silva Singh Sørensen Tanaka Torres Vogel Wagner Weiß Yilmaz Zhang Zimmermann"
)
COMPANY_HEADS = _words(
    "Alder Amber Anvil Arbor Atlas Beacon Birch Bright Cedar Cinder Clear Cobalt Copper Coral Crest Delta Ember "
    "Falcon Fern Flint Forge Glacier Granite Harbor Hazel Helix Iron Juniper Kestrel Lantern Larch Lumen Maple "
    "Meridian Mosaic Nimbus North Oak Onyx Orchard Osprey Pine Prism Quarry Raven Ridge River Rowan Saffron Sable "
    "Sierra Slate Summit Tidal Umber Vale Vertex Willow Zephyr"
)
COMPANY_TAILS = _words("works labs systems soft metrics logic foods parts press cloud care build grid path wares line")
COMPANY_FORMS = ("Ltd", "GmbH", "Inc", "S.A.", "B.V.", "AB")
INDUSTRIES = {
    "COMPUTER_SOFTWARE": 22,
    "INFORMATION_TECHNOLOGY_AND_SERVICES": 14,
    "MARKETING_AND_ADVERTISING": 10,
    "FINANCIAL_SERVICES": 8,
    "RETAIL": 8,
    "MACHINERY": 7,
    "HOSPITAL_HEALTH_CARE": 6,
    "LOGISTICS_AND_SUPPLY_CHAIN": 6,
    "MANAGEMENT_CONSULTING": 6,
    "CONSTRUCTION": 5,
    "HIGHER_EDUCATION": 4,
    "NON_PROFIT_ORGANIZATION_MANAGEMENT": 4,
}
PLACES = {
    ("Germany", "Berlin"): 12,
    ("Germany", "Hamburg"): 7,
    ("United States", "Austin"): 12,
    ("United States", "Boston"): 10,
    ("United Kingdom", "Manchester"): 10,
    ("France", "Lyon"): 8,
    ("Netherlands", "Utrecht"): 7,
    ("Spain", "Valencia"): 7,
    ("Sweden", "Gothenburg"): 5,
    ("Brazil", "Recife"): 6,
    ("India", "Pune"): 8,
    ("Japan", "Kobe"): 4,
}
SIZES = {(1, 10): 22, (11, 50): 30, (51, 200): 24, (201, 500): 13, (501, 2000): 8, (2001, 20000): 3}
# Title: weight, how much likelier its bearers are to be interested
TITLES = {
    "Head of Marketing": (9, 1.5),
    "VP Marketing": (5, 1.5),
    "Chief Revenue Officer": (2, 1.6),
    "Marketing Director": (6, 1.4),
    "Marketing Manager": (16, 1.1),
    "CRM Manager": (8, 1.3),
    "Sales Operations Manager": (7, 1.2),
    "Founder": (6, 1.2),
    "Sales Representative": (10, 0.8),
    "Content Specialist": (8, 0.8),
    "IT Administrator": (6, 0.7),
    "Office Manager": (5, 0.5),
    "Intern": (4, 0.4),
    "Student": (4, 0.3),
    "": (4, 0.7),
}
TIMEFRAMES = ("this_month", "this_quarter", "this_year", "next_year", "no_plan")
STAGES = ("subscriber", "lead", "marketingqualifiedlead", "opportunity", "customer")
SOURCES = {
    "ORGANIC_SEARCH": 30,
    "PAID_SEARCH": 18,
    "DIRECT_TRAFFIC": 18,
    "SOCIAL_MEDIA": 14,
    "REFERRALS": 12,
    "OFFLINE": 8,
}
STATUSES = {
    "subscribed": 76,
    "unsubscribed": 6,
    "transactional": 5,
    "cleaned": 3,
    "pending": 3,
    "archived": 3,
    "": 4,  # not in the audience at all
}
OWNERS = [
    ("nora.quist@northwind-tools.example", "Nora", "Quist"),
    ("tim.adeyemi@northwind-tools.example", "Tim", "Adeyemi"),
    ("lea.moser@northwind-tools.example", "Lea", "Moser"),
]
FORMS = ["Newsletter", "E-book download", "Demo request", "Contact us"]
# Path: title, weight for the cold, weight for the hot
PAGES = {
    "/": ("Northwind Tools", 20, 6),
    "/blog/what-is-lead-scoring": ("What is lead scoring?", 14, 4),
    "/blog/mail-that-gets-read": ("Mail that gets read", 12, 4),
    "/blog/crm-hygiene": ("Ten minutes of CRM hygiene", 10, 3),
    "/product": ("Product", 8, 12),
    "/integrations": ("Integrations", 4, 10),
    "/case-studies/harbor-foods": ("Case study: Harbor Foods", 3, 12),
    "/case-studies/kestrel-labs": ("Case study: Kestrel Labs", 3, 10),
    "/pricing": ("Pricing", 3, 22),
    "/demo": ("See a demo", 1, 10),
    "/careers": ("Careers", 4, 1),
}
# What a session is: weight for the cold, weight for the hot
SESSIONS = {"visit": (48, 56), "mailing": (44, 20), "form": (8, 14), "call": (0, 6), "meeting": (0, 4)}
FORM_PAGES = {
    "Newsletter": "/blog/mail-that-gets-read",
    "E-book download": "/blog/what-is-lead-scoring",
    "Demo request": "/demo",
    "Contact us": "/contact",
}
CONNECTED_CALL = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
MAILINGS = ("Spring product news", "Guide: nurture without nagging", "Invitation: open office hour")
