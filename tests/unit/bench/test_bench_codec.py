"""The codec's bench measures every event of the flow, and both ways with both codecs."""

from kuayu.bench.codec import measure


def test_every_event_of_the_flow_is_measured() -> None:
    figures = measure(cases=3, runs=1)
    assert set(figures) == {
        "CaseAccepted",
        "CaseDecided",
        "CertificateIssued",
        "CertificateDelivered",
        "Receipt",
    }
    for figure in figures.values():
        assert set(figure) == {"bytes", "encode_us", "decode_us", "fastavro_encode_us", "fastavro_decode_us"}
        assert min(figure.values()) > 0
