"""fastavro, for what is not compiled: rare schemas, and data whose writer's schema is not the reader's."""

from io import BytesIO
from typing import Any

import fastavro

from schemas._decoder import Decoder
from schemas._encoder import Encoder
from schemas._fit import check_fits
from schemas._source import Json


def fastavro_encoder(normal: Json, parsed: Any, head: bytes) -> Encoder:
    """As `encoder`, for plain data by any schema."""

    def encode(value: Any) -> bytes:
        check_fits(normal, value)
        out = BytesIO()
        out.write(head)
        fastavro.schemaless_writer(out, parsed, value)
        return out.getvalue()

    return encode


def fastavro_decoder(writer: Any, reader: Any = None) -> Decoder:
    """As `decoder`, to plain data of any schema; resolved to the reader's if one is given."""

    def decode(data: bytes, at: int) -> Any:
        body = BytesIO(data)
        body.seek(at)
        value = fastavro.schemaless_reader(body, writer, reader)
        if left := len(data) - body.tell():
            raise ValueError(f"{left} bytes are left over")
        return value

    return decode
