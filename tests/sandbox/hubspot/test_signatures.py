"""The signatures of deliveries, against published vectors: HubSpot's own, and a second implementation's."""

import pytest

from leadbridge.sandbox.hubspot.webhooks import sign_v1, sign_v2, sign_v3, signed_uri

OFFICIAL = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
OFFICIAL_URI = "https://www.example.com/webhook_uri"
SECRET = "3f9c1d52-8a6e-4c0b-b1d7-6e2f0a94c7aa"
AT = 1795312800000
U1 = "https://hooks.example.com/webhooks/hubspot"
U2 = f"{U1}?tenant=acme%3Aeu&next=%2Fin%2Fbox&note=100%25%20J%C3%BCrgen"
B1 = (
    '[{"eventId":3181526809,"subscriptionId":2740113,"portalId":62515,"appId":54321,"occurredAt":1795312799512,'
    '"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":512,"propertyName":"jobtitle",'
    '"propertyValue":"Geschäftsführer – 営業部","changeSource":"CRM_UI","sourceId":"userId:9586504"}]'
).encode()
B2 = (
    b'[{"eventId":11,"subscriptionId":2740114,"portalId":62515,"appId":54321,"occurredAt":1795312799000,'
    b'"subscriptionType":"contact.merge","attemptNumber":0,"changeSource":"CRM_UI","primaryObjectId":101,'
    b'"mergedObjectIds":[102],"newObjectId":903,"numberOfPropertiesMoved":4},{"eventId":12,"subscriptionId":2740115,'
    b'"portalId":62515,"appId":54321,"occurredAt":1795312799000,"subscriptionType":"contact.deletion",'
    b'"attemptNumber":0,"changeSource":"CRM_UI","objectId":102}]'
)
OFFICIAL_V1_BODY = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW",'
    b'"appId":54321}]'
)


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        (sign_v1(OFFICIAL, OFFICIAL_V1_BODY), "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
        (
            sign_v2(OFFICIAL, "GET", OFFICIAL_URI, b""),
            "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e",
        ),
        (
            sign_v2(OFFICIAL, "POST", OFFICIAL_URI, b'{"example_field":"example_value"}'),
            "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900",
        ),
        (
            sign_v3(OFFICIAL, "POST", OFFICIAL_URI, b"{'example_field':'example_value'}", 1693657560000),
            "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
        ),
        (
            sign_v3(OFFICIAL, "POST", OFFICIAL_URI, b"{'example_field':'example_value'}", 1700000300000),
            "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=",
        ),
        (sign_v3(SECRET, "POST", U1, B1, AT), "FxpRTDBdd8PCvqm0G56F+wGRnKCmMJPVvxMOsZRJVME="),
        (sign_v3(SECRET, "POST", U1, B2, AT), "hokb9wrOmBsVeg9j7qsoWUnYkCb1k9NI3l4L430lpEs="),
        (sign_v3(SECRET, "POST", U2, B2, AT), "zJe7Rws93cT3pPgJaISZKmeBfrMfMkrmgmp1mwXmnoA="),
        (sign_v3(SECRET, "GET", U1, b"", AT), "1oNHs4mjGb6zNA+CHVFec+GWAMq+25obNTpUVZ2KUaE="),
        (sign_v1(SECRET, B1), "df388fe25b4fd23367dd8f67ba97d132aa198dc8abe60e6edbf78a005686f4a5"),
        (sign_v1(SECRET, B2), "d74cd1f58616f6115388c5e6e3b0081a146bbe6136aa478335647342c567ca69"),
        (sign_v2(SECRET, "POST", U1, B2), "5ba6e5b9c1e371e9755775a0560a570f8e410bcfa642743b1d83d07b08de16a7"),
        (sign_v2(SECRET, "GET", U2, b""), "ecb5aae70d69f88aa54195174b311ed41f1ddc046f61484d2e0efca2540903e7"),
    ],
)
def test_the_signer_agrees_with_the_vectors(signature: str, expected: str) -> None:
    assert signature == expected


def test_only_some_escapes_are_undone() -> None:
    assert signed_uri(U2) == f"{U1}?tenant=acme:eu&next=/in/box&note=100%25%20J%C3%BCrgen"
