"""MLflow's numbers are those that tables show, and rounding them again changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mirror.rounding import round_metric, rounded


@pytest.mark.parametrize(
    "name, value, shown",
    (
        ("accuracy", 91.60000000000001, 91.6),
        ("accuracy", 61.666666666666664, 61.67),
        ("test_accuracy", 60.099999999999994, 60.1),
        ("heldout_accuracy", 100 / 3, 33.33),
        ("accuracy_by_timestep_3", 60.919999999999995, 60.92),
        ("exit.at_snn_e.accuracy", 22.259999999999998, 22.26),
        ("exit.at_snn_e.heldout_timesteps", 3.0674, 3.07),
        ("exit.at_snn_e.threshold", 0.186583614, 0.1866),
        ("average_tokens", 0.456783984375, 0.4568),
        ("average_tokens_by_timestep_2", 0.28905820312499997, 0.2891),
        ("tokens_by_block_3", 0.15615078124999998, 0.1562),
        ("halted_by_block_2", 9.921875000001856e-05, 9.922e-05),
        ("halted_by_block_1", 2.220446049250313e-16, 0.0),
        ("energy.nonzero_4", 9.240782508077356, 9.24),
        ("energy.modules.sps_1", 1234.5678, 1235.0),
        ("exit.dt_snn.energy.mac", 63.061949822425, 63.1),
        ("train_loss", 1.3071989501133943, 1.307),
        ("learning_rate", 0.00015658573369601518, 0.000157),
        ("images_per_second", 712.8992913711152, 713.0),
        ("images_per_second", 12345.6, 12346.0),
        ("images", 5000.0, 5000.0),
        ("plain", 24.099999999999998, 24.1),
        ("halted_1_2", 0.0006083984374999907, 0.000608398),
        ("halted_1_2", 0.0008027343750000027, 0.000802734),
        ("halted_1_3", 2.220446049250313e-16, 0.0),
        ("error_0", 0.7933082010698335, 0.793308),
        ("cosine_2_1", -0.12345678901234567, -0.123457),
        ("left_out_1", 1 / 3, 0.333333),
        ("merged", 12345678.0, 12345678.0),
        ("merged", 12345678.9, 12345679.0),
    ),
)
def test_a_metric_is_rounded_as_tables_show_it(name, value, shown):
    assert round_metric(name, value) == shown


def test_lists_and_mappings_are_flattened_by_name():
    metrics = {"accuracy_by_timestep": [18.880000000000003, 54.2], "energy": {"mac": [7.0107837990875]}, "ponder": None}
    assert rounded(metrics) == {"accuracy_by_timestep_1": 18.88, "accuracy_by_timestep_2": 54.2, "energy.mac_1": 7.01}


@given(
    st.sampled_from(
        ("accuracy", "average_tokens", "energy.mac_1", "train_loss", "halted_by_block_1", "images_per_second", "halted_1_2")
    ),
    st.floats(allow_nan=False),
)
def test_a_rounded_metric_rounded_again_is_the_same(name, value):
    assert round_metric(name, round_metric(name, value)) == round_metric(name, value)


@given(st.floats(0, 1), st.integers(-4, 4))
def test_the_last_bits_of_a_share_change_no_metric(share, bits):
    share = round(share, 9)
    assert round_metric("halted_1_2", share + bits * 2**-52) == round_metric("halted_1_2", share)


@given(st.floats(-1000, 1000))
def test_what_a_store_held_with_twelve_decimals_is_rounded_as_its_record(value):
    assert round_metric("halted_1_2", round(value, 12)) == round_metric("halted_1_2", value)
