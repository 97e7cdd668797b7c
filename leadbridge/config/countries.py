"""Every country of ISO 3166-1, by itself and in groups, as people spell it: codes, English, Spanish, its own name.

`{country: {in: eu_countries}}` meets DE, DEU, Germany, Alemania, Deutschland and "España" as well as "Espana", since
CRMs hold whatever a form, an import or an enrichment wrote. Names as in ISO 3166-1 (short names) and everyday use.
"""

import unicodedata
from collections.abc import Iterable

_SPELLINGS = """
AD AND Andorra
AE ARE United Arab Emirates, UAE, U.A.E., Emirates, Emiratos Árabes Unidos, EAU
AF AFG Afghanistan, Afganistán
AG ATG Antigua and Barbuda, Antigua & Barbuda, Antigua y Barbuda
AI AIA Anguilla, Anguila
AL ALB Albania, Shqipëria
AM ARM Armenia, Hayastan
AO AGO Angola
AQ ATA Antarctica, Antártida
AR ARG Argentina
AS ASM American Samoa, Samoa Americana
AT AUT Austria, Österreich, Oesterreich
AU AUS Australia
AW ABW Aruba
AX ALA Åland Islands, Åland, Aland, Islas Åland, Ahvenanmaa
AZ AZE Azerbaijan, Azerbaiyán, Azərbaycan
BA BIH Bosnia and Herzegovina, Bosnia & Herzegovina, Bosnia-Herzegovina, Bosnia, Bosnia y Herzegovina, \
Bosna i Hercegovina
BB BRB Barbados
BD BGD Bangladesh, Bangladés
BE BEL Belgium, Bélgica, België, Belgique, Belgien
BF BFA Burkina Faso
BG BGR Bulgaria
BH BHR Bahrain, Baréin
BI BDI Burundi
BJ BEN Benin, Benín, Bénin
BL BLM Saint Barthélemy, St. Barthélemy, St. Barts, San Bartolomé, Saint-Barthélemy
BM BMU Bermuda, Bermudas
BN BRN Brunei, Brunei Darussalam, Brunéi
BO BOL Bolivia, Plurinational State of Bolivia, Estado Plurinacional de Bolivia
BQ BES Bonaire, Caribbean Netherlands, Caribe Neerlandés, Bonaire San Eustaquio y Saba
BR BRA Brazil, Brasil
BS BHS Bahamas, The Bahamas, Las Bahamas
BT BTN Bhutan, Bután
BV BVT Bouvet Island, Isla Bouvet, Bouvetøya
BW BWA Botswana, Botsuana
BY BLR Belarus, Bielorrusia, Belarús
BZ BLZ Belize, Belice
CA CAN Canada, Canadá
CC CCK Cocos Islands, Cocos (Keeling) Islands, Keeling Islands, Islas Cocos
CD COD Democratic Republic of the Congo, DR Congo, DRC, Congo-Kinshasa, República Democrática del Congo, RD Congo, \
Congo - Kinshasa
CF CAF Central African Republic, República Centroafricana, République centrafricaine
CG COG Congo, Republic of the Congo, Congo-Brazzaville, República del Congo, Congo - Brazzaville
CH CHE Switzerland, Suiza, Schweiz, Suisse, Svizzera
CI CIV Côte d'Ivoire, Ivory Coast, Costa de Marfil, Côte d’Ivoire
CK COK Cook Islands, Islas Cook
CL CHL Chile
CM CMR Cameroon, Camerún, Cameroun
CN CHN China, People's Republic of China, PRC, República Popular China, 中国, Zhongguo
CO COL Colombia
CR CRI Costa Rica
CU CUB Cuba
CV CPV Cabo Verde, Cape Verde
CW CUW Curaçao, Curazao
CX CXR Christmas Island, Isla de Navidad
CY CYP Cyprus, Chipre
CZ CZE Czechia, Czech Republic, Chequia, República Checa, Česko
DE DEU Germany, Alemania, Deutschland, Federal Republic of Germany
DJ DJI Djibouti, Yibuti
DK DNK Denmark, Dinamarca, Danmark
DM DMA Dominica
DO DOM Dominican Republic, República Dominicana
DZ DZA Algeria, Argelia, Algérie
EC ECU Ecuador
EE EST Estonia, Eesti
EG EGY Egypt, Egipto, Misr
EH ESH Western Sahara, Sahara Occidental, Sáhara Occidental
ER ERI Eritrea
ES ESP Spain, España
ET ETH Ethiopia, Etiopía
FI FIN Finland, Finlandia, Suomi
FJ FJI Fiji, Fiyi
FK FLK Falkland Islands, Islas Malvinas, Malvinas, Falkland Islands (Malvinas)
FM FSM Micronesia, Federated States of Micronesia, Estados Federados de Micronesia
FO FRO Faroe Islands, Islas Feroe, Føroyar
FR FRA France, Francia
GA GAB Gabon, Gabón
GB GBR United Kingdom, UK, U.K., Great Britain, Britain, England, Scotland, Wales, Northern Ireland, Reino Unido, \
Gran Bretaña, Inglaterra, Escocia, Gales, Irlanda del Norte, United Kingdom of Great Britain and Northern Ireland
GD GRD Grenada, Granada
GE GEO Georgia, Sakartvelo
GF GUF French Guiana, Guayana Francesa, Guyane
GG GGY Guernsey, Guernesey
GH GHA Ghana
GI GIB Gibraltar
GL GRL Greenland, Groenlandia, Kalaallit Nunaat, Grønland
GM GMB Gambia, The Gambia
GN GIN Guinea, Guinée
GP GLP Guadeloupe, Guadalupe
GQ GNQ Equatorial Guinea, Guinea Ecuatorial
GR GRC Greece, Grecia, Hellas, Ελλάδα, EL
GS SGS South Georgia and the South Sandwich Islands, South Georgia, Georgia del Sur, \
South Georgia & South Sandwich Islands, Islas Georgia del Sur y Sandwich del Sur
GT GTM Guatemala
GU GUM Guam
GW GNB Guinea-Bissau, Guinea-Bisáu, Guinea Bissau, Guiné-Bissau
GY GUY Guyana
HK HKG Hong Kong, Hong Kong SAR, 香港, Hong Kong SAR China, RAE de Hong Kong (China)
HM HMD Heard Island and McDonald Islands, Islas Heard y McDonald, Heard Island & McDonald Islands
HN HND Honduras
HR HRV Croatia, Croacia, Hrvatska
HT HTI Haiti, Haití, Haïti
HU HUN Hungary, Hungría, Magyarország
ID IDN Indonesia
IE IRL Ireland, Irlanda, Éire, Republic of Ireland
IL ISR Israel, ישראל
IM IMN Isle of Man, Isla de Man
IN IND India, Bharat, भारत
IO IOT British Indian Ocean Territory, Territorio Británico del Océano Índico
IQ IRQ Iraq, Irak, العراق
IR IRN Iran, Irán, Islamic Republic of Iran, ایران
IS ISL Iceland, Islandia, Ísland
IT ITA Italy, Italia
JE JEY Jersey
JM JAM Jamaica
JO JOR Jordan, Jordania, الأردن
JP JPN Japan, Japón, 日本, Nippon, Nihon
KE KEN Kenya, Kenia
KG KGZ Kyrgyzstan, Kirguistán, Kirguizistán
KH KHM Cambodia, Camboya
KI KIR Kiribati
KM COM Comoros, Comoras, Comores
KN KNA Saint Kitts and Nevis, St. Kitts & Nevis, San Cristóbal y Nieves
KP PRK North Korea, Corea del Norte, Democratic People's Republic of Korea, DPRK
KR KOR South Korea, Korea, Corea del Sur, Corea, Republic of Korea, República de Corea, 대한민국, 한국
KW KWT Kuwait, الكويت
KY CYM Cayman Islands, Islas Caimán
KZ KAZ Kazakhstan, Kazajistán, Kazajstán, Қазақстан
LA LAO Laos, Lao People's Democratic Republic
LB LBN Lebanon, Líbano, لبنان, Liban
LC LCA Saint Lucia, St. Lucia, Santa Lucía
LI LIE Liechtenstein
LK LKA Sri Lanka
LR LBR Liberia
LS LSO Lesotho, Lesoto
LT LTU Lithuania, Lituania, Lietuva
LU LUX Luxembourg, Luxemburgo, Luxemburg
LV LVA Latvia, Letonia, Latvija
LY LBY Libya, Libia, ليبيا
MA MAR Morocco, Marruecos, Maroc, المغرب
MC MCO Monaco, Mónaco
MD MDA Moldova, Moldavia, Republic of Moldova
ME MNE Montenegro, Crna Gora
MF MAF Saint Martin, St. Martin, San Martín, Saint-Martin, Saint Martin (French part)
MG MDG Madagascar
MH MHL Marshall Islands, Islas Marshall
MK MKD North Macedonia, Macedonia, Macedonia del Norte, Северна Македонија
ML MLI Mali, Malí
MM MMR Myanmar, Burma, Birmania, Myanmar (Burma), Myanmar (Birmania)
MN MNG Mongolia, Монгол
MO MAC Macao, Macau, Macao SAR, 澳門, Macao SAR China, RAE de Macao (China)
MP MNP Northern Mariana Islands, Islas Marianas del Norte
MQ MTQ Martinique, Martinica
MR MRT Mauritania, Mauritanie
MS MSR Montserrat
MT MLT Malta
MU MUS Mauritius, Mauricio, Maurice
MV MDV Maldives, Maldivas
MW MWI Malawi, Malaui
MX MEX Mexico, México, Méjico
MY MYS Malaysia, Malasia
MZ MOZ Mozambique, Moçambique
NA NAM Namibia
NC NCL New Caledonia, Nueva Caledonia, Nouvelle-Calédonie
NE NER Niger, Níger
NF NFK Norfolk Island, Isla Norfolk
NG NGA Nigeria
NI NIC Nicaragua
NL NLD Netherlands, The Netherlands, Holland, Países Bajos, Holanda, Nederland
NO NOR Norway, Noruega, Norge
NP NPL Nepal, नेपाल
NR NRU Nauru
NU NIU Niue
NZ NZL New Zealand, Nueva Zelanda, Nueva Zelandia, Aotearoa
OM OMN Oman, Omán, عمان
PA PAN Panama, Panamá
PE PER Peru, Perú
PF PYF French Polynesia, Polinesia Francesa, Polynésie française
PG PNG Papua New Guinea, Papúa Nueva Guinea, Papua Nueva Guinea
PH PHL Philippines, The Philippines, Filipinas, Pilipinas
PK PAK Pakistan, Pakistán, پاکستان
PL POL Poland, Polonia, Polska
PM SPM Saint Pierre and Miquelon, San Pedro y Miquelón, Saint-Pierre-et-Miquelon, St. Pierre & Miquelon
PN PCN Pitcairn, Pitcairn Islands, Islas Pitcairn
PR PRI Puerto Rico
PS PSE Palestine, Palestina, State of Palestine, Palestinian Territories, فلسطين, Territorios Palestinos
PT PRT Portugal
PW PLW Palau, Palaos
PY PRY Paraguay
QA QAT Qatar, Catar, قطر
RE REU Réunion, Reunión
RO ROU Romania, Rumania, Rumanía, România
RS SRB Serbia, Srbija, Србија
RU RUS Russia, Rusia, Russian Federation, Federación de Rusia, Россия
RW RWA Rwanda, Ruanda
SA SAU Saudi Arabia, Arabia Saudí, Arabia Saudita, KSA, السعودية
SB SLB Solomon Islands, Islas Salomón
SC SYC Seychelles
SD SDN Sudan, Sudán, السودان
SE SWE Sweden, Suecia, Sverige
SG SGP Singapore, Singapur, 新加坡
SH SHN Saint Helena, St. Helena, Santa Elena
SI SVN Slovenia, Eslovenia, Slovenija
SJ SJM Svalbard and Jan Mayen, Svalbard, Svalbard y Jan Mayen, Svalbard & Jan Mayen
SK SVK Slovakia, Slovak Republic, Eslovaquia, Slovensko
SL SLE Sierra Leone, Sierra Leona
SM SMR San Marino
SN SEN Senegal, Sénégal
SO SOM Somalia, Soomaaliya
SR SUR Suriname, Surinam
SS SSD South Sudan, Sudán del Sur
ST STP Sao Tome and Principe, São Tomé and Príncipe, Santo Tomé y Príncipe, São Tomé e Príncipe, São Tomé & Príncipe
SV SLV El Salvador
SX SXM Sint Maarten, Sint Maarten (Dutch part)
SY SYR Syria, Siria, Syrian Arab Republic, سوريا
SZ SWZ Eswatini, Swaziland, Esuatini, Suazilandia
TC TCA Turks and Caicos Islands, Turks & Caicos, Islas Turcas y Caicos, Turks & Caicos Islands
TD TCD Chad, Tchad
TF ATF French Southern Territories, Territorios Australes Franceses, French Southern and Antarctic Lands
TG TGO Togo
TH THA Thailand, Tailandia, ประเทศไทย, ไทย
TJ TJK Tajikistan, Tayikistán
TK TKL Tokelau
TL TLS Timor-Leste, East Timor, Timor Oriental
TM TKM Turkmenistan, Turkmenistán
TN TUN Tunisia, Túnez, Tunisie, تونس
TO TON Tonga
TR TUR Turkey, Türkiye, Turquía
TT TTO Trinidad and Tobago, Trinidad & Tobago, Trinidad y Tobago
TV TUV Tuvalu
TW TWN Taiwan, Taiwán, 台灣, 臺灣
TZ TZA Tanzania, Tanzanía, United Republic of Tanzania
UA UKR Ukraine, Ucrania, Україна, Ukraina
UG UGA Uganda
UM UMI U.S. Outlying Islands, United States Minor Outlying Islands, Islas menores alejadas de EE. UU.
US USA United States, United States of America, U.S., U.S.A., Estados Unidos, Estados Unidos de América, EE.UU., \
EE. UU., EEUU, America
UY URY Uruguay
UZ UZB Uzbekistan, Uzbekistán, Oʻzbekiston
VA VAT Vatican City, Holy See, Ciudad del Vaticano, Santa Sede, Vaticano, Holy See (Vatican City State)
VC VCT Saint Vincent and the Grenadines, St. Vincent & Grenadines, San Vicente y las Granadinas
VE VEN Venezuela, Bolivarian Republic of Venezuela, República Bolivariana de Venezuela
VG VGB British Virgin Islands, Islas Vírgenes Británicas
VI VIR U.S. Virgin Islands, US Virgin Islands, Islas Vírgenes de los Estados Unidos, Islas Vírgenes de EE. UU.
VN VNM Vietnam, Viet Nam, Việt Nam
VU VUT Vanuatu
WF WLF Wallis and Futuna, Wallis y Futuna, Wallis-et-Futuna, Wallis & Futuna
WS WSM Samoa
YE YEM Yemen, اليمن
YT MYT Mayotte
ZA ZAF South Africa, Sudáfrica, Suid-Afrika
ZM ZMB Zambia
ZW ZWE Zimbabwe, Zimbabue
"""

_ISO_NAMES = """
BO Bolivia, Plurinational State of
BQ Bonaire, Sint Eustatius and Saba
CD Congo, The Democratic Republic of the
FM Micronesia, Federated States of
IR Iran, Islamic Republic of
KP Korea, Democratic People's Republic of
KR Korea, Republic of
MD Moldova, Republic of
PS Palestine, State of
SH Saint Helena, Ascension and Tristan da Cunha
TW Taiwan, Province of China
TZ Tanzania, United Republic of
VE Venezuela, Bolivarian Republic of
VG Virgin Islands, British
VI Virgin Islands, U.S.
"""
"""Names of the standard that have a comma in them, as lists to choose from show them (Salesforce's, for one)."""


def _folded(names: Iterable[str]) -> set[str]:
    """Each name as tests compare it, and the same without accents, as many forms write it."""
    found = {unicodedata.normalize("NFKC", name.casefold()).strip() for name in names}
    bare = {
        "".join(letter for letter in unicodedata.normalize("NFD", name) if not unicodedata.combining(letter))
        for name in found
    }
    return found | {unicodedata.normalize("NFKC", name) for name in bare}


def _spellings() -> dict[str, frozenset[str]]:
    whole = dict(line.split(" ", 1) for line in _ISO_NAMES.strip().splitlines())
    table = {}
    for line in _SPELLINGS.replace("\\\n", "").strip().splitlines():
        code, three, names = line.split(" ", 2)
        also = [whole[code]] if code in whole else []
        table[code] = frozenset(_folded([code, three, *names.split(","), *also]))
    return table


SPELLINGS = _spellings()
"""Every spelling of a country, folded, by its two-letter code."""


def country_of(text: str) -> str | None:
    """Two-letter code of the country that the text names; None when it names none."""
    word = unicodedata.normalize("NFKC", text.casefold()).strip()
    return next((code for code, spellings in SPELLINGS.items() if word in spellings), None)


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
