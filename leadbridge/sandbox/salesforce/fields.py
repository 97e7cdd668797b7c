"""One field of one object, and how describe shows it (vendor page, section 5.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TEXT = frozenset({"string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox"})
_NAME_PARTS = ("FirstName", "LastName", "Salutation")
NUMBERS = frozenset({"int", "double", "currency", "percent"})
_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double",
    "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A definition. ``visible`` is what profiles see before any permission set says otherwise."""

    name: str
    type: str
    label: str
    length: int = 0  # characters of text
    precision: int = 0
    scale: int = 0
    createable: bool = True
    updateable: bool = True
    nillable: bool = True
    default: Any = None
    permissionable: bool = False
    visible: bool = True
    refers_to: tuple[str, ...] = ()
    relationship: str | None = None
    values: tuple[str, ...] = ()
    restricted: bool = False
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    id_lookup: bool = False
    custom: bool = False
    custom_id: str = ""  # of the CustomField, where there is one

    @property
    def long_text(self) -> bool:
        return self.type == "textarea" and self.length > 255

    @property
    def filterable(self) -> bool:
        return not self.long_text

    @property
    def required(self) -> bool:
        """On create (section 5.4)."""
        return self.createable and not self.nillable and self.default is None and self.type != "boolean"

    @property
    def empty(self) -> Any:
        """What a row holds when nobody said: a checkbox is never null."""
        return False if self.type == "boolean" else None


def describe(field: Field, *, editable: bool) -> dict[str, Any]:
    """The 57 keys of one field as a user sees it who may edit it or not."""
    text = field.type in TEXT or field.type in ("id", "reference")
    simple = not field.long_text
    return {
        "aggregatable": simple and field.type != "boolean",
        "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": (field.length if field.type in ("id", "reference") else field.length * 3) if text else 0,
        "calculated": False,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": "Name" if field.name in _NAME_PARTS else None,
        "controllerName": None,
        "createable": field.createable and editable,
        "custom": field.custom,
        "defaultValue": field.default if field.default is not None else field.empty,
        "defaultValueFormula": None,
        "defaultedOnCreate": field.default is not None or field.type == "boolean" or _system(field),
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 8 if field.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": field.external_id,
        "extraTypeInfo": "plaintextarea" if field.type == "textarea" else None,
        "filterable": field.filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": simple and field.type not in ("datetime", "currency", "double", "percent"),
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.id_lookup or field.external_id or field.type == "id",
        "inlineHelpText": None,
        "label": field.label,
        "length": field.length,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name in ("Name", "Subject"),
        "namePointing": len(field.refers_to) > 1,
        "nillable": field.nillable,
        "permissionable": field.permissionable,
        "picklistValues": [
            {"active": True, "defaultValue": value == field.default, "label": value, "validFor": None, "value": value}
            for value in field.values
        ],
        "polymorphicForeignKey": len(field.refers_to) > 1,
        "precision": field.precision,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": sorted(field.refers_to),
        "relationshipName": field.relationship,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": field.type == "reference" and field.permissionable,
        "soapType": _SOAP.get(field.type, "xsd:string"),
        "sortable": simple,
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable and editable,
        "writeRequiresMasterRead": False,
    }


def _system(field: Field) -> bool:
    return field.name in ("Id", "OwnerId") or not (field.createable or field.nillable or field.name == "Name")


def from_metadata(name: str, custom_id: str, metadata: Mapping[str, Any]) -> Field:
    """A custom field as the Metadata or Tooling API defines it (section 5.1); ValueError says what is wrong.

    It is visible to nobody until a permission set says otherwise (section 5.3).
    """
    kind = _METADATA_TYPES.get(str(metadata.get("type")))
    if kind is None:
        raise ValueError(f"Unknown field type: {metadata.get('type')}")
    if not metadata.get("label"):
        raise ValueError("Required fields are missing: [MasterLabel]")
    length, precision, scale = (_whole(metadata, key) for key in ("length", "precision", "scale"))
    if kind in ("double", "currency", "percent") and not (0 < precision <= 18 and scale <= precision):
        raise ValueError("You must specify a precision of 1 to 18 and a scale within it")
    if metadata["type"] in ("Text", "LongTextArea") and not length:
        raise ValueError("Must specify 'length' for a CustomField of this type")
    value_set = metadata.get("valueSet") or {}
    try:
        values = tuple(str(one["fullName"]) for one in (value_set.get("valueSetDefinition") or {}).get("value") or ())
    except (AttributeError, KeyError, TypeError):
        raise ValueError("valueSet must be {valueSetDefinition: {value: [{fullName}]}}") from None
    if kind == "picklist" and not values:
        raise ValueError("Must specify a value set for a picklist field")
    required = bool(metadata.get("required"))
    return Field(
        name,
        kind,
        str(metadata["label"]),
        length=length or (_LENGTHS.get(kind, 0)),
        precision=precision,
        scale=scale,
        nillable=not required and kind != "boolean",
        permissionable=not required,
        visible=required,
        values=values,
        restricted=bool(value_set.get("restricted")),
        external_id=bool(metadata.get("externalId")),
        unique=bool(metadata.get("unique")),
        case_sensitive=bool(metadata.get("caseSensitive")),
        custom=True,
        custom_id=custom_id,
    )


_METADATA_TYPES = {
    "Text": "string", "TextArea": "textarea", "LongTextArea": "textarea", "Number": "double", "Currency": "currency",
    "Percent": "percent", "Checkbox": "boolean", "Date": "date", "DateTime": "datetime", "Picklist": "picklist",
    "Email": "email", "Phone": "phone", "Url": "url",
}  # fmt: skip
_LENGTHS = {"picklist": 255, "textarea": 255, "email": 80, "phone": 40, "url": 255}


def _whole(metadata: Mapping[str, Any], key: str) -> int:
    value = metadata.get(key) or 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"Invalid {key}: {value}")
    return value
