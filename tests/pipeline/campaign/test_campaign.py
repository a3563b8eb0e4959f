import yaml
from test_read_declaration import GOOD, changed

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import validate
from pipeline.command_line import CATALOGUE


def ids(content):
    campaign = Campaign(validate(content, CATALOGUE), CATALOGUE)
    return {(run.label, run.seed): run.id for run in campaign.runs}, campaign


def test_an_id_is_the_label_the_seed_and_a_digest():
    found, _ = ids(GOOD)
    assert set(found) == {(label, seed) for label in ("static", "at_snn") for seed in (0, 1)}
    for (label, seed), run_id in found.items():
        assert run_id.startswith(f"{label}-s{seed}-") and len(run_id.split("-")[-1]) == 8


def test_a_changed_seed_is_another_path_for_that_run_and_its_children_only():
    before, after = ids(GOOD)[0], ids(changed(("runs", "static", "seeds"), [0, 5]))[0]
    assert after["static", 0] == before["static", 0] and after["at_snn", 0] == before["at_snn", 0]
    assert set(after) - set(before) == {("static", 5), ("at_snn", 5)}
    assert not {after["static", 5], after["at_snn", 5]} & set(before.values())


def test_a_changed_parent_changes_its_children_and_a_changed_child_only_itself():
    before = ids(GOOD)[0]
    parent = ids(changed(("networks", "small", "depth"), 3))[0]
    assert not set(parent.values()) & set(before.values())
    child = ids(changed(("runs", "at_snn", "options"), {"gamma": 6}))[0]
    assert child["static", 0] == before["static", 0] and child["at_snn", 0] != before["at_snn", 0]


def test_every_field_that_changes_numbers_changes_the_id():
    before = ids(GOOD)[0]["static", 0]
    paths = {
        ("threads",): 2,
        ("precision",): "float32",
        ("datasets", "shapes", "train"): 200,
        ("recipes", "short", "lr"): 0.1,
        ("networks", "small", "timesteps"): 2,
    }
    content = changed(("table1",), [{"evaluation": "static"}])
    for path, value in paths.items():
        other = yaml.safe_load(yaml.safe_dump(content))
        place = other
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert ids(other)[0]["static", 0] != before, path


def test_what_changes_no_number_changes_no_id():
    before = ids(GOOD)[0]
    for path, value in (
        (("about",), "other words"),
        (("loader_workers",), 3),
        (("checkpoint_minutes",), 1),
        (("table1",), [{"evaluation": "static"}]),
    ):
        assert ids(changed(path, value))[0] == before


def test_numbers_said_in_full_or_left_to_the_defaults_are_the_same_run():
    assert ids(changed(("recipes", "short"), {"epochs": 1, "warmup_epochs": 0, "batch": 50, "lr": 5e-4}))[0] == ids(GOOD)[0]


def test_a_parent_is_the_run_of_the_same_seed():
    _, campaign = ids(GOOD)
    assert campaign.run("at_snn", 1).parent.id == campaign.run("static", 1).id


def test_products_are_made_again_when_their_set_changes():
    made = [
        ids(content)[1].made_from("tables")
        for content in (GOOD, changed(("runs", "static", "seeds"), [0]), changed(("about",), "other"))
    ]
    assert len(set(made)) == 3
