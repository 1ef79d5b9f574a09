from models.vocabulary.revisions import files_hash, joined_hash


def test_files_hash_tells_files_apart() -> None:
    one = files_hash("models.vocabulary", "denials.yaml")
    assert one == files_hash("models.vocabulary", "denials.yaml")
    assert one != files_hash("models.vocabulary", "mesh.yaml")


def test_joined_hash_tells_where_parts_are_cut() -> None:
    assert joined_hash("ab", "c") != joined_hash("a", "bc")
    assert joined_hash("a", "b") != joined_hash("b", "a")
