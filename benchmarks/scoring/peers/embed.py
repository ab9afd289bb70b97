"""What the Python peers without a model put out: the record in a constant text as long as what a prediction adds."""

HEAD = (
    b'{"record_id":"b-00-123456","district_id":"g7-123456","event_time":1700000001230,"scored_at":1700000000123,'
    b'"prediction":123456.789,"model_version":"v1","route":"champion","source":{"topic":"bench.districts",'
    b'"partition":1,"offset":123456},"record":'
)


def embedded(value: bytes) -> bytes:
    """As many bytes as a prediction has."""
    return b"%b%b}" % (HEAD, value)
