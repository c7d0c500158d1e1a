"""Long tables of events, as NONMEM and nlmixr have them."""

import numpy as np
import pytest

from BayesianJaxModels._problem.read_events import read_events

TABLE = {
    "ID": [1, 1, 1, 2, 2],
    "TIME": [0.0, 0.5, 2.0, 0.0, 1.0],
    "AMT": [320.0, 0.0, 0.0, 300.0, 0.0],
    "DV": [None, 4.1, 7.7, None, 6.0],
    "WT": [79.6, 79.6, 79.6, 72.4, 72.4],
}
CSV = """id,time,evid,amt,rate,addl,ii,cmt,mdv,dv,WT
A,0,1,100,50,2,12,2,1,.,70
A,0,1,10,.,.,.,1,1,.,70
A,1.5,0,.,.,.,.,.,0,3.25,.
A,2,2,.,.,.,.,.,1,NA,.
A,13,0,0,,,,,0,4.5,70
B,3,0,,,,,,0, 1.25 ,81
B,4,0,,,,,,1,,81
"""


def test_rows_become_subjects():
    first, second = read_events(TABLE, covariates=["WT"])
    np.testing.assert_array_equal(first.ts, [0.5, 2.0])
    np.testing.assert_array_equal(first.observations, [4.1, 7.7])
    np.testing.assert_array_equal(first.doses[0].times, [0.0])
    np.testing.assert_array_equal(first.doses[0].amounts, [320.0])
    assert (first.name, second.name) == ("1", "2")
    assert (first.covariates["WT"], second.covariates["WT"]) == (79.6, 72.4)
    assert first.doses[0].into == 0


def test_a_file_with_all_its_columns(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(CSV)
    a, b = read_events(
        path, covariates=["WT"], into={1: "gut", 2: "blood"}, saved="after"
    )
    blood, gut = a.doses
    assert (blood.into, gut.into, blood.saved) == ("blood", "gut", "after")
    np.testing.assert_array_equal(blood.times, [0.0, 12.0, 24.0])
    np.testing.assert_array_equal(blood.ends - blood.times, [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(gut.times, [0.0])
    assert gut.ends is None
    np.testing.assert_array_equal(a.ts, [1.5, 13.0])
    np.testing.assert_array_equal(a.observations, [3.25, 4.5])
    np.testing.assert_array_equal(b.ts, [3.0])
    assert b.doses == ()
    assert b.covariates["WT"] == 81.0


def test_columns_of_other_names_and_frames():
    class Frame:
        """As a data frame of pandas or polars answers."""

        columns = ("Subject", "Time", "conc", "Dose")

        def __getitem__(self, name):
            values = {
                "Subject": [1.0, 2.0],
                "Time": [1, 2],
                "conc": [3.0, np.nan],
                "Dose": [np.nan, 4.0],
            }
            return np.array(values[name])

    names = {"id": "Subject", "value": "conc", "amount": "Dose"}
    with pytest.raises(ValueError, match="no observation of subject 2"):
        read_events(Frame(), columns=names)
    [one] = read_events(
        {name: Frame()[name][:1] for name in Frame.columns}, columns=names
    )
    assert one.name == "1"
    with pytest.raises(ValueError, match=r"no column 'ID' for the id.*columns=\{'id'"):
        read_events(Frame())
    with pytest.raises(ValueError, match="no column 'weight' for a covariate"):
        read_events(TABLE, covariates=["weight"])
    with pytest.raises(ValueError, match="`columns` names any of"):
        read_events(TABLE, columns={"dose": "AMT"})


WRONG = {
    "no number": ({"TIME": [0.0, "noon", 2, 0, 1]}, "Row 2, subject 1: time is 'noon'"),
    "no time": ({"TIME": [0.0, None, 2, 0, 1]}, "Row 2, subject 1: TIME is missing"),
    "unsorted": ({"TIME": [0.0, 3, 2, 0, 1]}, "Row 3, subject 1: TIME is 2 after 3"),
    "covariate": (
        {"WT": [1, 1, 2, 3, 3]},
        "Row 3, subject 1: the covariate WT is 2",
    ),
    "none known": (
        {"WT": [1, 1, 1, "", ""]},
        "Row 4, subject 2: the covariate WT is",
    ),
    "amount": (
        {"AMT": [320.0, 0, 0, -300, 0]},
        "subject 2: AMT of a dose must",
    ),
    "no value": ({"DV": [None, 4, None, None, 6]}, "Row 3, subject 1: DV is missing"),
    "reset": ({"EVID": [1, 0, 4, 1, 0]}, "Row 3, subject 1: EVID is 4"),
    "half a row": ({"EVID": [1.5, 0, 0, 1, 0]}, "event is 1.5, which is no whole"),
    "both": (
        {"EVID": [1, 0, 0, 0, 0]},
        "Row 4, subject 2: EVID is 0, an observ",
    ),
    "code": ({"RATE": [-2, 0, 0, 0, 0]}, "a rate or duration is negative: -2"),
    "two": ({"RATE": [2, 0, 0, 0, 0], "DUR": [2, 0, 0, 0, 0]}, "a rate and a duration"),
    "interval": ({"ADDL": [3, 0, 0, 0, 0]}, "3 additional doses need an interval"),
    "steady": ({"SS": [1, 0, 0, 0, 0]}, "a dose at steady state is not read"),
    "overlap": (
        {
            "ADDL": [3, 0, 0, 0, 0],
            "II": [12, 0, 0, 0, 0],
            "RATE": [10, 0, 0, 0, 0],
        },
        "Subject 1: Doses overlap",
    ),
    "nothing": ({"MDV": [1, 1, 1, 1, 0]}, "no observation of subject 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rows_are_named(name):
    changes, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        read_events(TABLE | changes, covariates=["WT"])


def test_a_compartment_that_is_not_named():
    table = TABLE | {"CMT": [3, 1, 1, 1, 1]}
    with pytest.raises(ValueError, match=r"is 3, but `into` names \[1, 2\]"):
        read_events(table, into={1: 0, 2: 1})
    # Not taken for the only one there is.
    with pytest.raises(ValueError, match=r"Row 1, .* is 3, but `into` is 0 for all"):
        read_events(table)
    assert read_events(table | {"CMT": [2, 1, 1, 2, 1]}, into=1)[0].doses[0].into == 1


@pytest.mark.parametrize("column", ["CMT", "DVID"])
def test_two_kinds_of_values_are_not_one_series(column):
    table = {"ID": [1, 1, 2], "TIME": [0.0, 1.0, 1.0], "DV": [5.0, 90.0, 3.0]}
    with pytest.raises(ValueError, match=f"Row 3, .*{column} of an obs.* is 2 after 1"):
        read_events(table | {column: [1, 1, 2]})
    assert len(read_events(table | {column: [2, ".", 2]})) == 2


def test_a_loading_dose_at_the_start_of_an_infusion():
    table = {
        "ID": [1, 1, 1],
        "TIME": [0.0, 0.0, 6.0],
        "AMT": [20.0, 10.0, 0.0],
        "RATE": [0.0, 2.0, 0.0],
        "DV": [None, None, 3.0],
    }
    [subject] = read_events(table)
    loading, infusion = subject.doses
    assert (float(loading.amounts[0]), loading.ends) == (20.0, None)
    assert (float(infusion.amounts[0]), float(infusion.ends[0])) == (10.0, 5.0)
    table["RATE"][0] = 4.0
    with pytest.raises(ValueError, match=r"Subject 1: .*`doses=\(one, other\)`"):
        read_events(table)


def test_a_covariate_may_be_called_as_a_column_is():
    table = {"ID": [1, 1], "TIME": [0.0, 1.0], "DV": [3.0, 4.0], "value": [70.0, 70.0]}
    [subject] = read_events(table, covariates=["value"])
    assert subject.observations.tolist() == [3.0, 4.0]
    assert subject.covariates["value"] == 70.0
