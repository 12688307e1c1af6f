"""One application as local systems write it: as JSON, and as a table of one row. No directory is asked about it."""

from typing import Any

BODY: dict[str, Any] = {
    "item_code": "11430100000000000X2430100000001",
    "belonging": "430100",
    "channel": "counter",
    "applicant": {
        "person": {"name": "张三", "document_kind": "identity_card", "document_number": "11010519491231002X"}
    },
    "form": [{"name": "reason", "value": "补领"}],
    "materials": [{"code": "id_card", "name": "居民身份证", "form": "electronic", "may_follow": False}],
    "delivery": {"kind": "counter", "jurisdiction": "430300"},
}
CSV = (
    "item_code,belonging,channel,applicant.person.name,applicant.person.document_kind,"
    "applicant.person.document_number,form.reason,materials,delivery.kind,delivery.jurisdiction\n"
    "11430100000000000X2430100000001,430100,counter,张三,identity_card,11010519491231002X,补领,"
    "id_card=居民身份证,counter,430300\n"
)
