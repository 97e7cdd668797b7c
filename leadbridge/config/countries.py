"""Countries by group, in every usual spelling: ISO 3166-1 codes, English, Spanish and the country's own name.

`{country: {in: eu_countries}}` meets DE, DEU, Germany, Alemania, Deutschland and "España" as well as "Espana", since
CRMs hold whatever a form, an import or an enrichment wrote. Names as in ISO 3166-1 (short names) and everyday use.
"""

import unicodedata
from collections.abc import Iterable

_SPELLINGS = """
AR ARG Argentina
AT AUT Austria, Österreich, Oesterreich
AU AUS Australia
BE BEL Belgium, Bélgica, België, Belgique, Belgien
BG BGR Bulgaria
BO BOL Bolivia, Plurinational State of Bolivia, Estado Plurinacional de Bolivia
BR BRA Brazil, Brasil
CA CAN Canada, Canadá
CH CHE Switzerland, Suiza, Schweiz, Suisse, Svizzera
CL CHL Chile
CO COL Colombia
CR CRI Costa Rica
CU CUB Cuba
CY CYP Cyprus, Chipre
CZ CZE Czechia, Czech Republic, Chequia, República Checa, Česko
DE DEU Germany, Alemania, Deutschland, Federal Republic of Germany
DK DNK Denmark, Dinamarca, Danmark
DO DOM Dominican Republic, República Dominicana
EC ECU Ecuador
EE EST Estonia, Eesti
ES ESP Spain, España
FI FIN Finland, Finlandia, Suomi
FR FRA France, Francia
GB GBR United Kingdom, UK, U.K., Great Britain, Britain, England, Scotland, Wales, Northern Ireland, Reino Unido, \
Gran Bretaña, Inglaterra, Escocia, Gales, Irlanda del Norte, United Kingdom of Great Britain and Northern Ireland
GR GRC Greece, Grecia, Hellas, Ελλάδα, EL
GT GTM Guatemala
HN HND Honduras
HR HRV Croatia, Croacia, Hrvatska
HT HTI Haiti, Haití, Haïti
HU HUN Hungary, Hungría, Magyarország
IE IRL Ireland, Irlanda, Éire, Republic of Ireland
IS ISL Iceland, Islandia, Ísland
IT ITA Italy, Italia
LI LIE Liechtenstein
LT LTU Lithuania, Lituania, Lietuva
LU LUX Luxembourg, Luxemburgo, Luxemburg
LV LVA Latvia, Letonia, Latvija
MT MLT Malta
MX MEX Mexico, México, Méjico
NI NIC Nicaragua
NL NLD Netherlands, The Netherlands, Holland, Países Bajos, Holanda, Nederland
NO NOR Norway, Noruega, Norge
NZ NZL New Zealand, Nueva Zelanda, Nueva Zelandia, Aotearoa
PA PAN Panama, Panamá
PE PER Peru, Perú
PL POL Poland, Polonia, Polska
PR PRI Puerto Rico
PT PRT Portugal
PY PRY Paraguay
RO ROU Romania, Rumania, Rumanía, România
SE SWE Sweden, Suecia, Sverige
SI SVN Slovenia, Eslovenia, Slovenija
SK SVK Slovakia, Slovak Republic, Eslovaquia, Slovensko
SV SLV El Salvador
US USA United States, United States of America, U.S., U.S.A., Estados Unidos, Estados Unidos de América, EE.UU., \
EE. UU., EEUU, America
UY URY Uruguay
VE VEN Venezuela, Bolivarian Republic of Venezuela, República Bolivariana de Venezuela
"""


def _folded(names: Iterable[str]) -> set[str]:
    """Each name as tests compare it, and the same without accents, as many forms write it."""
    found = {unicodedata.normalize("NFKC", name.casefold()).strip() for name in names}
    bare = {
        "".join(letter for letter in unicodedata.normalize("NFD", name) if not unicodedata.combining(letter))
        for name in found
    }
    return found | bare


def _spellings() -> dict[str, frozenset[str]]:
    table = {}
    for line in _SPELLINGS.replace("\\\n", "").strip().splitlines():
        code, three, names = line.split(" ", 2)
        table[code] = frozenset(_folded([code, three, *names.split(",")]))
    return table


SPELLINGS = _spellings()
"""Every spelling of a country, folded, by its two-letter code."""

_MEMBERS = {
    "eu_countries": "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK",
    "eea_countries": "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK IS LI NO",
    "dach_countries": "DE AT CH",
    "nordic_countries": "DK FI IS NO SE",
    "benelux_countries": "BE NL LU",
    "latin_american_countries": "AR BO BR CL CO CR CU DO EC GT HN HT MX NI PA PE PR PY SV UY VE",
    "spanish_speaking_countries": "AR BO CL CO CR CU DO EC ES GT HN MX NI PA PE PR PY SV UY VE",
    "english_speaking_countries": "AU CA GB IE NZ US",
    "north_american_countries": "CA MX US",
}

COUNTRY_LISTS: dict[str, frozenset[str]] = {
    name: frozenset[str]().union(*(SPELLINGS[code] for code in codes.split())) for name, codes in _MEMBERS.items()
} | {f"country_{code.lower()}": spellings for code, spellings in SPELLINGS.items()}
"""Groups of countries, and each country by itself (`country_de`), for `in:` and `not_in:`.

Latin America: the Spanish, Portuguese and French speaking states of the Americas, and Puerto Rico. English speaking:
those where most people speak it at home. The European Economic Area: the Union, Iceland, Liechtenstein and Norway.
"""
