from server import errors


def all_errors() -> list[type[errors.ServiceError]]:
    families = [errors.CallerError, errors.OurError]
    return [kind for family in families for kind in family.__subclasses__()]


def test_the_callers_faults_are_4xx_and_ours_say_when_to_retry_or_are_5xx() -> None:
    for kind in all_errors():
        ours = issubclass(kind, errors.OurError)
        # Caller errors for which HTTP has a 5xx status: an unsupported transfer coding or version.
        unknown = kind.status in {501, 505}
        assert unknown or (kind.status >= 500 or kind.status == 429) is ours, kind
