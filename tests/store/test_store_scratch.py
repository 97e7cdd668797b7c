def test_a(store):
    with store.writing() as tx:
        pass
    assert store.is_current()


def test_b(store):
    assert store.is_current()
