"""The model card: who a model was trained on, how well it does, and who is unlike them."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mresklearn import (
    Cohort,
    ContrastiveEncoder,
    MapLoader,
    MapScaler,
    cross_validate_sites,
    load,
    save,
)
from mresklearn.exceptions import DataError
from mresklearn.metrics import bootstrap_ci, brain_age_scores
from mresklearn.model_selection import LeaveOneSiteOut
from mresklearn.persistence import Metric, ModelCard, SiteRecord, load_card


def table_of(age, site="Mayo", sex="F", **columns):
    return pd.DataFrame({"age": age, "site": site, "sex": sex, **columns})


@pytest.fixture
def two_sites():
    """Young people at Mayo, old ones at Utah, nobody from 40 to 59."""
    return table_of(
        [21.3, 24, 31, 36, 38.9, 61, 64, 69, 72, 77.2],
        site=["Mayo"] * 5 + ["Utah"] * 5,
        sex=list("FMFMF") * 2,
        diagnosis=["CN"] * 7 + ["AD"] * 3,
    )


@pytest.fixture
def card(two_sites):
    return ModelCard.from_cohort(
        two_sites,
        metrics={"mae": (4.2, 3.6, 4.9)},
        protocol="each site left out",
        title="Two sites",
    )


@pytest.fixture(scope="module")
def ridge():
    return Ridge().fit(np.eye(3), [20.0, 50.0, 80.0])


@pytest.fixture(scope="module")
def encoder():
    rng = np.random.default_rng(0)
    settings = {"max_epochs": 1, "width": 2, "embedding_dim": 4, "random_state": 3}
    site = np.array(["Mayo", "Utah"] * 10)
    return ContrastiveEncoder(**settings).fit(
        rng.normal(size=(20, 4)), np.linspace(20.4, 79.6, 20), site=site
    )


class TestPeople:
    def test_counts_and_ranges_of_a_table(self, card):
        assert (card.n_people, card.n_rows) == (10, 10)
        assert card.sex == {"F": 6, "M": 4}
        assert card.diagnosis == {"AD": 3, "CN": 7}
        assert card.age_range == (21, 78)
        assert card.age_bands == {
            "20-29": 2, "30-39": 3, "40-49": 0, "50-59": 0, "60-69": 3, "70-79": 2,
        }  # fmt: skip
        assert card.sites == {
            "Mayo": SiteRecord(n_people=5, age_range=(21, 39)),
            "Utah": SiteRecord(n_people=5, age_range=(61, 78)),
        }

    def test_a_cohort_gives_its_participants_and_its_description(self, two_sites):
        people = two_sites.set_axis([f"p{n}" for n in range(10)])
        maps = pd.DataFrame({"stiffness": "a.nii"}, index=people.index)
        card = ModelCard.from_cohort(Cohort(maps, people, description="Cite us."))
        assert (card.n_people, card.data) == (10, "Cite us.")

    def test_a_person_scanned_twice_is_one_person(self):
        card = ModelCard.from_cohort(
            table_of([30, 31, 50], site=["A", "B", "B"]), groups=["x", "x", "y"]
        )
        assert (card.n_people, card.n_rows, card.sex) == (2, 3, {"F": 2})
        assert {name: site.n_people for name, site in card.sites.items()} == {"A": 1, "B": 2}
        assert card.age_bands == {"30-39": 1, "40-49": 0, "50-59": 1}

    def test_a_small_site_has_no_range_since_it_would_be_somebodys_age(self):
        card = ModelCard.from_cohort(table_of([30] * 4 + [50] * 5, site=["A"] * 4 + ["B"] * 5))
        assert card.sites["A"].age_range is None
        assert card.sites["B"].age_range == (50, 50)

    def test_what_is_missing_is_counted_as_unknown(self):
        card = ModelCard.from_cohort(table_of([30, np.nan], sex=["F", None], site=["A ", "A"]))
        assert card.sex == {"F": 1, "unknown": 1}
        assert (card.age_range, list(card.sites)) == ((30, 30), ["A"])

    def test_a_table_without_these_columns_gives_its_number_of_rows(self):
        card = ModelCard.from_cohort(pd.DataFrame({"height": [1.7, 1.8]}))
        assert (card.n_people, card.age_range, card.sites, card.sex) == (2, None, {}, {})

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.floats(0, 120), min_size=1, max_size=30))
    def test_nobody_in_training_is_out_of_range(self, ages):
        card = ModelCard.from_cohort(table_of(ages))
        assert sum(card.age_bands.values()) == len(ages)
        assert card.out_of_range(age=ages, site="Mayo", sex="F") == [[]] * len(ages)

    @pytest.mark.parametrize(
        ("cohort", "message"),
        [
            ([1, 2], "must be a Cohort or a DataFrame"),
            (pd.DataFrame({"age": []}), "without rows"),
            (table_of([30, -1, 40]), "no age in years, in rows 1"),
            (table_of(["30", "old"]), "no age in years, in rows 1"),
        ],
    )
    def test_bad_tables_are_named(self, cohort, message):
        with pytest.raises(ValueError, match=message):
            ModelCard.from_cohort(cohort)


class TestMetrics:
    def test_scores_by_name_with_and_without_bounds(self, two_sites):
        card = ModelCard.from_cohort(
            two_sites, metrics={"mae": (4.2, 3.6, 4.9), "auc": 0.8}, protocol="5 folds"
        )
        assert card.metrics == (
            Metric(name="mae", value=4.2, low=3.6, high=4.9, unit="years", protocol="5 folds"),
            Metric(name="auc", value=0.8, protocol="5 folds"),
        )

    def test_scores_of_predictions_without_what_could_not_be_computed(self, two_sites):
        scores = brain_age_scores([30, 40], [32, 41])
        card = ModelCard.from_cohort(two_sites, metrics=scores)
        values = {metric.name: metric.value for metric in card.metrics}
        assert values == {name: scores[name] for name in ("mae", "rmse", "chance_mae", "bias")}

    @pytest.mark.parametrize("n_sites", [3, 6])
    def test_a_cross_validation_keeps_its_protocols_and_speaks_of_sites_where_it_can(self, n_sites):
        rng = np.random.default_rng(0)
        site = np.repeat(list("abcdef")[:n_sites], 12)
        age = rng.uniform(20, 80, len(site))
        X = age[:, np.newaxis] + rng.normal(0, 5, (len(age), 2))
        result = cross_validate_sites(Ridge(), X, age, site=site, n_splits=3)
        card = ModelCard.from_cohort(table_of(age, site=site), metrics=result)
        mae = {metric.protocol: metric for metric in card.metrics if metric.name == "mae"}
        assert set(mae) == {"within_site", "leave_one_site_out"}
        assert mae["within_site"].note == "95 % interval over people of these sites"
        left_out = mae["leave_one_site_out"]
        assert left_out.value == result.summary.mae["leave_one_site_out"]
        lines = result.predictions.query("protocol == 'leave_one_site_out'")
        drawn = bootstrap_ci(
            np.mean,
            (lines.prediction - lines.y).abs(),
            groups=lines.person,
            site=lines.site if n_sites == 6 else None,
            random_state=0,
        )
        assert (left_out.low, left_out.high) == pytest.approx((drawn.low, drawn.high))
        assert ("sites and people" in left_out.note) == (n_sites == 6)

    @pytest.mark.parametrize("metrics", [{"mae": "good"}, {"mae": (1, 2)}, 4.2, ["mae"]])
    def test_other_things_are_no_scores(self, two_sites, metrics):
        with pytest.raises(ValueError, match=r"metrics.*must be"):
            ModelCard.from_cohort(two_sites, metrics=metrics)


class TestOutOfRange:
    def test_each_person_gets_the_reasons_that_set_them_apart(self, card):
        assert card.out_of_range(
            age=[25, 85, 50, 70, np.nan],
            site=["Mayo", "Utah", "Mayo", "Mayo", "Ghent"],
            sex=["F", "male", "f", "M", "X"],
        ) == [
            [],
            ["age 85 lies outside the ages of training, 21 to 78"],
            ["age 50: nobody of 40 to 59 years was in training"],
            ["age 70 lies outside the ages of training at site 'Mayo', 21 to 39"],
            [
                "age is unknown, so that it cannot be compared with the ages of training",
                "site 'Ghent' was not in training",
                "sex 'X' was not in training",
            ],
        ]

    @pytest.mark.parametrize("age", [40, 45.5, 59.99])
    def test_a_gap_between_young_and_old_is_named_as_a_whole(self, card, age):
        [[reason]] = card.out_of_range(age=age)
        assert reason.endswith("nobody of 40 to 59 years was in training")

    def test_the_ends_of_the_range_are_inside(self, card):
        assert card.out_of_range(age=[21, 78]) == [[], []]
        assert all(card.out_of_range(age=[20.9, 78.1]))

    def test_what_is_not_asked_and_what_the_card_does_not_know_is_not_judged(self, card):
        assert card.out_of_range() == [[]]
        unknown = ModelCard()
        assert unknown.out_of_range(age=[5, 200], site="Mars", sex="F", maps=["t1"]) == [[], []]
        told = ModelCard(sites={"A": {}})
        assert told.out_of_range(age=30, site=["A", None, "B"]) == [
            [], [], ["site 'B' was not in training"],
        ]  # fmt: skip

    def test_a_map_that_is_missing_is_missing_for_all(self, card):
        card = replace(card, maps={"stiffness": "kPa", "damping_ratio": "1"})
        reason = "no map of damping_ratio, which the model needs"
        assert card.out_of_range(age=[30, 31], maps=["stiffness", "t1"]) == [[reason], [reason]]
        assert card.out_of_range(maps=["damping_ratio", "stiffness"]) == [[]]

    def test_entries_of_tables_with_missing_values_are_read(self, card):
        frame = pd.DataFrame({"age": [25, pd.NA], "site": ["Mayo", pd.NA]}, dtype=object)
        inside, unknown = card.out_of_range(age=frame.age, site=frame.site)
        assert inside == []
        assert unknown[0].startswith("age is unknown")

    def test_different_lengths_are_refused(self, card):
        with pytest.raises(ValueError, match="age has 2, site has 3"):
            card.out_of_range(age=[1, 2], site=["a", "b", "c"])


class TestWithModels:
    def test_a_card_goes_and_comes_with_the_model(self, encoder, tmp_path):
        ages = np.linspace(20.4, 79.6, 20)
        people = table_of(ages, site=["Mayo", "Utah"] * 10)
        card = ModelCard.from_cohort(people, metrics={"mae": 4.2}, limitations=["Noise."])
        folder = save(encoder, tmp_path / "m", card=card)
        opened = load_card(folder)
        assert opened.metrics == (Metric(name="mae", value=4.2, unit="years"),)
        assert opened.model == "ContrastiveEncoder"
        assert opened.seed == "random_state=3"
        record = json.loads((folder / "model.json").read_text())
        assert opened.versions == record["versions"]
        assert opened.date
        filled = {"model", "seed", "versions", "date"}
        assert {k: v for k, v in asdict(opened).items() if k not in filled} == {
            k: v for k, v in asdict(card).items() if k not in filled
        }

    def test_without_a_card_the_model_tells_what_it_kept(self, people, tmp_path):
        loader = MapLoader(metadata=["site", "age"], voxel_size=8)
        road = make_pipeline(
            loader, MapScaler(), ContrastiveEncoder(max_epochs=1, width=2, random_state=0), Ridge()
        ).fit(people, people.age)
        card = load_card(save(road, tmp_path / "m"))
        assert card.model == "Pipeline(MapLoader, MapScaler, ContrastiveEncoder, Ridge)"
        assert card.maps == {"stiffness": "kPa", "damping_ratio": "1"}
        assert (card.voxel_size, card.n_rows) == ((8, 8, 8), 24)
        assert card.sites == dict.fromkeys("ABC", SiteRecord())
        assert card.age_range == (np.floor(people.age.min()), np.ceil(people.age.max()))
        assert "Not a medical device" in card.intended_use
        assert card.n_people is None
        assert card.metrics == ()

    def test_warning_and_card_agree_on_who_is_out_of_range(self, encoder):
        card = ModelCard.from_model(encoder)
        assert card.age_range == (20, 80)
        assert card.out_of_range(age=[20.1, 79.9]) == [[], []]

    def test_a_plain_model_tells_its_steps(self, ridge, tmp_path):
        card = load_card(save(ridge, tmp_path / "m"))
        assert (card.model, card.age_range, card.sites, card.seed) == ("Ridge", None, {}, None)

    def test_ages_on_another_scale_are_not_taken_for_years(self):
        X, age = np.random.default_rng(0).normal(size=(20, 4)), np.linspace(20, 80, 20)
        encoder = ContrastiveEncoder(max_epochs=1, width=2, sigma=0.3, loss="l1")
        model = TransformedTargetRegressor(encoder, transformer=StandardScaler()).fit(X, age)
        assert model.regressor_.age_range_[0] < 0
        assert ModelCard.from_model(model).age_range is None

    def test_a_pretrained_part_says_nothing_of_the_people_of_the_whole(self, encoder):
        X, age = np.random.default_rng(0).normal(size=(20, 4)), np.linspace(60, 90, 20)
        card = ModelCard.from_model(make_pipeline(FrozenEstimator(encoder), Ridge()).fit(X, age))
        assert (card.age_range, card.sites) == (None, {})
        assert ModelCard.from_model(FrozenEstimator(encoder)) == ModelCard.from_model(encoder)
        tuned = ContrastiveEncoder(
            max_epochs=1, width=2, embedding_dim=4, init_from=FrozenEstimator(encoder)
        ).fit(X, age)
        assert ModelCard.from_model(tuned).age_range == (60, 90)

    @pytest.mark.parametrize(
        ("claim", "message"),
        [
            ({"age_range": (20, 90)}, r"claims ages 20 to 90, but .* fitted on 20 to 80"),
            ({"sites": {"Mayo": {}, "Ghent": {}}}, r"claims sites Ghent, but .* Mayo, Utah"),
        ],
    )
    def test_a_card_that_claims_more_than_the_model_saw_is_refused(
        self, encoder, claim, message, tmp_path
    ):
        with pytest.raises(ValueError, match=message):
            save(encoder, tmp_path / "m", card=ModelCard(**claim))
        assert not list(tmp_path.iterdir())

    def test_a_card_may_claim_less(self, encoder, tmp_path):
        card = ModelCard(age_range=(30, 60), sites={"Mayo": {}})
        assert load_card(save(encoder, tmp_path / "m", card=card)).age_range == (30, 60)

    def test_saving_again_keeps_versions_and_date_of_the_training(self, ridge, tmp_path):
        old = replace(ModelCard(), versions={"mresklearn": "0.0.1"}, date="2020-02-29")
        card = load_card(save(ridge, tmp_path / "m", card=old))
        assert (card.versions, card.date) == ({"mresklearn": "0.0.1"}, "2020-02-29")

    def test_a_new_model_does_not_inherit_the_card_of_the_one_it_replaces(self, ridge, tmp_path):
        save(ridge, tmp_path / "m", card=ModelCard(metrics=[Metric(name="mae", value=1.0)]))
        assert load_card(save(ridge, tmp_path / "m", overwrite=True)).metrics == ()

    def test_a_folder_without_a_card_opens_and_says_how_to_get_one(self, ridge, tmp_path):
        folder = save(ridge, tmp_path / "m")
        for name in ("card.json", "README.md"):
            (folder / name).unlink()
        np.testing.assert_array_equal(load(folder).coef_, ridge.coef_)
        with pytest.raises(DataError, match=r"holds no card.json.*save\(load\(folder\)"):
            load_card(folder)
        save(load(folder), folder, overwrite=True)
        assert load_card(folder).model == "Ridge"

    def test_a_card_of_another_kind_is_refused(self, ridge, tmp_path):
        with pytest.raises(TypeError, match="must be a ModelCard or None, got dict"):
            save(ridge, tmp_path / "m", card={"title": "x"})

    def test_names_lead_to_no_other_place(self, ridge, tmp_path):
        card = ModelCard(title="../../elsewhere", sites={"../up": {}}, data="/etc/passwd")
        save(ridge, tmp_path / "models" / "m", card=card)
        assert [path.name for path in tmp_path.iterdir()] == ["models"]
        assert [path.name for path in (tmp_path / "models").iterdir()] == ["m"]


class TestEditedByHand:
    @pytest.fixture
    def edit(self, ridge, card, tmp_path):
        folder = save(ridge, tmp_path / "m", card=card)

        def write(**changes):
            content = json.loads((folder / "card.json").read_text()) | changes
            (folder / "card.json").write_text(json.dumps(content))
            return folder

        return write

    def test_an_edit_of_the_right_type_is_read(self, edit):
        assert load_card(edit(title="Mine", limitations=["Few."])).limitations == ("Few.",)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"title": 3}, "'title' must be text, got 3"),
            ({"limitations": "none"}, "'limitations' must be a list of texts"),
            ({"limitations": [1]}, r"'limitations'\[0\] must be text"),
            ({"n_people": -1}, "'n_people' must be a whole number"),
            ({"n_people": True}, "'n_people' must be a whole number"),
            ({"n_rows": "10"}, "'n_rows' must be a whole number"),
            ({"sex": {"F": None}}, r"'sex'\['F'\] must be a whole number"),
            ({"sex": ["F"]}, "'sex' must be an object"),
            ({"sites": {"A": 3}}, r"'sites'\['A'\] must be an object"),
            ({"sites": {"A": {"people": 3}}}, r"'sites'\['A'\] has no field people"),
            ({"sites": {"A": {"n_people": 0.5}}}, r"'sites'\['A'\]: 'n_people'"),
            ({"age_range": [80, 20]}, "'age_range' must go from low to high"),
            ({"age_range": [20]}, "'age_range' must be two numbers"),
            ({"age_range": [20, float("inf")]}, r"'age_range'\[1\] must be a finite number"),
            ({"age_bands": {"twenties": 3}}, "'age_bands' must have bands"),
            ({"voxel_size": [2, 2]}, "'voxel_size' must be three"),
            ({"voxel_size": [2, 2, 0]}, "'voxel_size' must be three lengths above 0"),
            ({"metrics": {}}, "'metrics' must be a list"),
            ({"metrics": [{"name": "mae"}]}, r"'metrics'\[0\]: .*'value'"),
            ({"metrics": [{"name": "mae", "value": "4"}]}, r"'metrics'\[0\]: 'value' must be"),
            (
                {"metrics": [{"name": "mae", "value": 4, "low": 5, "high": 3}]},
                "'low' is 5, above 'high'",
            ),
            ({"metrics": [{"name": "mae", "value": 4, "low": 5}]}, "must be given together"),
            ({"versions": {"numpy": 2}}, r"'versions'\['numpy'\] must be text"),
            ({"date": "yesterday"}, "'date' must be a day"),
            ({"titel": "x"}, "no field titel"),
            ({"format": 2}, "'format' is 2; this version reads 1"),
            ({"format": "1"}, "'format' must be a whole number"),
        ],
        ids=lambda value: None if isinstance(value, str) else "-".join(value),
    )
    def test_a_wrong_type_is_named_with_file_and_field(self, edit, changes, message):
        folder = edit(**changes)
        with pytest.raises(DataError, match=message) as error:
            load_card(folder)
        assert str(error.value).startswith(str(folder / "card.json"))

    @pytest.mark.parametrize("text", ["{", "[1, 2]", '"card"', "\x00"])
    def test_what_is_no_card_is_said_to_be_none(self, edit, text):
        folder = edit()
        (folder / "card.json").write_text(text)
        with pytest.raises(DataError, match=r"card\.json"):
            load_card(folder)

    def test_a_bad_card_does_not_keep_the_model_from_opening(self, edit, ridge):
        np.testing.assert_array_equal(load(edit(title=3)).coef_, ridge.coef_)


class TestPage:
    """The page is read back with a parser of Markdown (CommonMark with tables)."""

    @staticmethod
    def parse(card):
        return MarkdownIt("commonmark", {"html": True}).enable("table").parse(card.to_markdown())

    @staticmethod
    def texts(tokens):
        """Return what a reader sees in each inline element; markup there would be a child."""
        inline = [token.children for token in tokens if token.type == "inline"]
        kinds = {child.type for children in inline for child in children}
        assert kinds <= {"text", "text_special"}, kinds
        return ["".join(child.content for child in children) for children in inline]

    def test_it_holds_what_the_card_holds(self, card):
        card = replace(
            card, maps={"damping_ratio": "1"}, voxel_size=(2, 2, 2.5), date="2026-11-23", seed="0"
        )
        tokens = self.parse(card)
        texts = self.texts(tokens)
        for seen in (
            "Two sites", "Intended use", card.intended_use, "21 to 78", "F: 6, M: 4",
            "damping_ratio (no unit)", "2 x 2 x 2.5", "mae", "4.2 years (3.6 to 4.9)",
            "each site left out", "Mayo", "21 to 39", "40 to 49", "2026-11-23",
        ):  # fmt: skip
            assert seen in texts, seen
        assert sum(token.type == "table_open" for token in tokens) == 5

    def test_dates_and_versions_stay_readable_as_plain_text(self):
        page = ModelCard(date="2026-11-23", versions={"numpy": "2.4.6"}).to_markdown()
        assert "| Date | 2026-11-23 |" in page
        assert "| numpy | 2.4.6 |" in page

    def test_an_empty_card_is_a_page_without_empty_tables(self):
        tokens = self.parse(ModelCard())
        assert sum(token.type == "table_open" for token in tokens) == 1
        assert "Performance" not in self.texts(tokens)

    @settings(max_examples=60, deadline=None)
    @given(
        st.text(
            st.sampled_from("ab1 |\\`*_{}[]<>()#+-.!&~$=:/\"'\n\t") | st.characters(codec="utf-8"),
            min_size=1,
            max_size=25,
        )
    )
    def test_whatever_is_stated_stays_text_and_tables_keep_their_cells(self, stated):
        def page(text):
            return ModelCard(
                title="t" + text,
                data="d" + text,
                limitations=[text],
                sites={text: {}},
                sex={text: 1},
                versions={"x" + text: text},
                metrics=[Metric(name=text, value=1.0, protocol=text)],
            )

        tokens = self.parse(page(stated))
        self.texts(tokens)
        cells = ("table_open", "tr_open", "th_open", "td_open", "heading_open", "list_item_open")
        expected = [token.type for token in self.parse(page("word")) if token.type in cells]
        assert [token.type for token in tokens if token.type in cells] == expected
        assert not any(token.type == "html_block" for token in tokens)


def test_a_model_card_from_a_left_out_fit_warns_of_the_site_left_out():
    """The reasons follow the rows of the fit, not the whole cohort."""
    people = table_of([20, 30, 40, 50, 60, 70], site=["A", "A", "B", "B", "C", "C"])
    train, test = next(iter(LeaveOneSiteOut().split(people, people.age, people.site)))
    card = ModelCard.from_cohort(people.iloc[train])
    found = card.out_of_range(age=people.age.iloc[test], site=people.site.iloc[test])
    assert all("site 'A' was not in training" in reasons for reasons in found)


def test_a_card_survives_the_moving_of_its_folder(tmp_path, ridge, card):
    folder = save(ridge, tmp_path / "m", card=card)
    shutil.move(folder, tmp_path / "elsewhere")
    assert load_card(tmp_path / "elsewhere").sites == card.sites
