"""A standing campaign over five nights with a fast clock: the real records, rule, report and prompts; fake training."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from data_roots import model
from flow_examples import small, small_fields
from typer.testing import CliRunner

from artifacts import Grade, Prompt, Rollout, Score
from eval_math import metrics
from flows.cli import app
from flows.mirror.amounts import Amounts, Ledger
from flows.named import model_folder
from flows.nightly import night, record, registry, rule, schedules, standing
from flows.nightly.record import Night, Nights
from flows.nightly.settings import Nightly
from flows.steps import Steps
from flows.upkeep import references
from tasks.locking import FlockLockManager

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the servers' own queries

PROBLEMS = 40
MONDAY = datetime(2026, 3, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def config(tmp_path, model_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody is there: no night may fail for it
    return lambda *overrides: small(tmp_path, model_folder, "name=night", *overrides)


def evaluated(workspace, iteration, right, *, samples=2, key="exam/sampled", known=True):
    """The result of an iteration whose policy solves the first `right` of the problems."""
    grades = [
        Grade(prompt_id=f"p{p:02}", sample_index=s, correct=p < right if known else None, reward=float(p < right),
              reason="same_text", answer=str(p))
        for p in range(PROBLEMS) for s in range(samples)
    ]  # fmt: skip
    rollouts = [
        Rollout(prompt_id=grade.prompt_id, sample_index=grade.sample_index, prompt_ids=[1], completion_ids=[iteration],
                logprobs=[-0.5], finish_reason="stop", seed=0, text=str(right))
        for grade in grades
    ]  # fmt: skip
    store = workspace.store
    with store.writer(Grade) as answers:
        answers.write_many(grades)
    with store.writer(Rollout) as texts:
        texts.write_many(rollouts)
    kept = {key: {"rollouts": texts.ref.to_json(), "grades": answers.ref.to_json()}}
    value = Score(benchmark="exam", metric="mean@2", value=right / PROBLEMS, standard_error=0.05,
                  num_problems=PROBLEMS, num_samples=samples)  # fmt: skip
    with store.writer(Score) as scores:
        scores.write(value)
        scores.summary.update({"generations": kept})
    policy = model(workspace, f"train-{iteration:032x}", f"weights of {iteration}")
    return {"iteration": iteration, "policy": policy.to_json(), "scores": scores.ref.to_json(), "stages": []}


class Nightshift:
    """Starts nights at given moments; each takes `hours` and its training ends as the test says."""

    def __init__(self, workspace):
        self.workspace, self.now = workspace, MONDAY
        self.started = []
        """(iteration, the iteration whose policy it started from, its problems) of every night that began."""

    def begin(self, steps, mirror):
        return evaluated(self.workspace, 0, 10)

    def __call__(self, due, right=0, *, error=None, hours=3.0, meanwhile=None):
        self.now = max(self.now, due)

        def iterate(config, number, policy, initial, refresh, stop_after, critic):
            problems = Steps.of(config, self.workspace).prompts(number)
            self.started.append((number, int(policy["path"][-32:], 16), problems))
            self.now += timedelta(hours=hours)
            if meanwhile:
                meanwhile()
            if error:
                raise error
            return evaluated(self.workspace, number, right)

        with night.alone(self.workspace, "night", due):
            return night.run(
                self.workspace, "night", begin=self.begin, iterate=iterate, clock=lambda: self.now.timestamp()
            )

    def asked(self, position):
        """The problems of one night."""
        return {prompt.prompt_id for prompt in self.workspace.store.read(self.started[position][2], Prompt)}

    @property
    def aliases(self):
        return {name: entry["iteration"] for name, entry in record.read(self.workspace, "night").aliases.items()}


def test_five_nights_of_which_one_fails_one_regresses_and_one_is_skipped(workspace, config):
    standing.write(workspace, standing.check(config("prompts.per_iteration=2"), "0 1 * * *", "UTC"))
    shift = Nightshift(workspace)

    said = shift(MONDAY, right=25)
    assert "night, iteration 1 promoted. exam mean: +37.5 points" in said
    assert shift.aliases == {"best": 1, "newest": 1}

    with pytest.raises(RuntimeError, match="the GPU is gone"):
        shift(MONDAY + DAY, error=RuntimeError("the GPU is gone"))
    assert shift.aliases == {"best": 1, "newest": 1}

    said = shift(MONDAY + 2 * DAY, right=12)
    assert "iteration 2 rolled back" in said
    assert shift.aliases == {"best": 1, "newest": 2}

    def friday_begins():
        with pytest.raises(night.Skipped, match="the previous one still runs"):
            shift(MONDAY + 4 * DAY)

    said = shift(MONDAY + 3 * DAY, right=35, hours=30, meanwhile=friday_begins)
    assert "iteration 3 promoted" in said
    with pytest.raises(night.Skipped, match="still ran when it was due"):  # the same night, had it waited in a queue
        shift(MONDAY + 4 * DAY)

    said = shift(MONDAY + 5 * DAY, right=36)
    assert "iteration 4 kept" in said
    assert "within noise" in said
    assert shift.aliases == {"best": 3, "newest": 4}
    begun = [(number, start) for number, start, _ in shift.started]
    assert begun == [(1, 0), (2, 1), (2, 1), (3, 1), (4, 3)]  # the failed one again; after the regression from the best
    assert shift.asked(1) == shift.asked(2)
    assert not shift.asked(2) & shift.asked(3)
    outcomes = [each.outcome for each in record.read(workspace, "night").nights]
    assert outcomes == ["base", "promoted", "failed", "rolled back", "promoted", "kept"]
    shown = json.loads(workspace.results("night").read_text())
    assert [row["iteration"] for row in shown["iterations"]] == [0, 1, 2, 3, 4]
    assert model_folder(workspace, "night@best") == model_folder(workspace, "night/3")
    assert model_folder(workspace, "night@newest") == model_folder(workspace, "night/4")


def test_problems_on_which_nights_keep_failing_are_given_up(workspace, config):
    standing.write(workspace, standing.check(config("nightly.attempts=2"), "", "UTC"))
    shift = Nightshift(workspace)

    for day in range(3):
        with pytest.raises(ValueError, match="no pair"):
            shift(MONDAY + day * DAY, error=ValueError("no pair is left"))
    shift(MONDAY + 3 * DAY, right=30)

    assert [number for number, _, _ in shift.started] == [1, 1, 2, 2]
    assert shift.aliases == {"best": 2, "newest": 2}
    (ledger,) = (workspace.root / "reported").glob("night-*.json")
    assert Ledger(ledger).before(2) == Amounts()  # curves go on behind what was given up
    with pytest.raises(ValueError, match="iterations 0, 2, not 1"):
        model_folder(workspace, "night/1")


def test_a_night_that_is_cancelled_is_no_failure_and_goes_on(workspace, config):
    standing.write(workspace, standing.check(config("nightly.attempts=1"), "", "UTC"))
    shift = Nightshift(workspace)

    with pytest.raises(SystemExit):
        shift(MONDAY, error=SystemExit(75))
    shift(MONDAY + DAY, right=30)

    assert [number for number, _, _ in shift.started] == [1, 1]
    assert [each.outcome for each in record.read(workspace, "night").nights] == ["base", "promoted"]


def test_gc_keeps_what_an_alias_names(workspace, config):
    standing.write(workspace, standing.check(config(), "", "UTC"))
    Nightshift(workspace)(MONDAY, right=30)
    workspace.results("night").unlink()

    needed = references.referenced(workspace, ["night"])

    aliases = record.read(workspace, "night").aliases
    assert {entry["digest"] for entry in aliases.values()} <= needed.digests


# --- the rule ----------------------------------------------------------------------------------------------------


def judged(workspace, config, new, best, *overrides):
    limits = rule.resolved(config(*overrides))
    return rule.judge(workspace, limits, evaluated(workspace, 1, best), evaluated(workspace, 2, new))


@pytest.mark.parametrize(
    ("new", "best", "overrides", "outcome"),
    [
        (30, 10, [], "promoted"),
        (10, 30, [], "rolled back"),
        (21, 20, [], "kept"),
        (20, 20, [], "kept"),
        (24, 20, [], "promoted"),  # 10 points ± 4.8: z = 2.08
        (24, 20, ["nightly.confidence=0.99"], "kept"),
        (24, 20, ["nightly.min_gain=11"], "kept"),
        (24, 20, ["nightly.min_gain=9"], "promoted"),
        (24, 20, ["nightly.metric=pass@2"], "promoted"),
        (24, 20, ["nightly.metric=maj@2"], "promoted"),
    ],
)
def test_a_policy_is_promoted_only_if_it_is_surely_better(workspace, config, new, best, overrides, outcome):
    assert judged(workspace, config, new, best, *overrides).outcome == outcome


def test_the_interval_is_that_of_the_paired_difference(workspace, config):
    found = judged(workspace, config, 24, 20)

    ours = metrics.paired_difference(
        [[p < 24] * 2 for p in range(PROBLEMS)], [[p < 20] * 2 for p in range(PROBLEMS)], num_resamples=20_000
    )
    low, high = (100 * bound for bound in ours.interval)
    said = found.why[found.why.index("[") + 1 : found.why.index("]")].split(",")
    assert found.why.startswith("exam mean: +10.0 points")
    assert [float(bound) for bound in said] == pytest.approx([low, high], abs=2.0)  # normal against bootstrap


def test_answers_without_a_verdict_decide_nothing(workspace, config):
    limits = rule.resolved(config())

    found = rule.judge(workspace, limits, evaluated(workspace, 1, 20), evaluated(workspace, 2, 40, known=False))

    assert found.outcome == "kept"
    assert "no problem has a verdict in both" in found.why


def test_a_best_that_was_measured_on_something_else_stays(workspace, config):
    best = evaluated(workspace, 1, 20, key="other/sampled")

    found = rule.judge(workspace, rule.resolved(config()), best, evaluated(workspace, 2, 40))

    assert found.outcome == "kept"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["evaluate.benchmarks=[]"], "would be judged by nothing"),
        (["nightly.benchmark=exams"], "'exams' is none of evaluate.benchmarks; there are: exam"),
        (["nightly.metric=pass@3"], "pass@3 needs 3 sampled answers per problem and exam has 2"),
        (["evaluate.benchmarks.0.greedy=false", "nightly.metric=greedy"], "exam has greedy: false"),
    ],
)
def test_a_rule_that_the_evaluation_cannot_serve_is_refused_when_it_is_set_up(config, overrides, message):
    with pytest.raises(ValueError, match=message):
        standing.check(config(*overrides), "", "UTC")


def test_the_rule_falls_back_to_greedy_where_nothing_is_sampled(config):
    assert rule.resolved(config()).metric == "mean"
    assert rule.resolved(config("evaluate.benchmarks.0.samples=0")).metric == "greedy"


@pytest.mark.parametrize("field", ["min_gain=-1", "confidence=0.5", "confidence=1", "metric=pass", "attempts=0"])
def test_a_rule_out_of_range_is_refused(config, field):
    with pytest.raises(ValueError, match=r"nightly\."):
        config(f"nightly.{field}")


def test_the_rule_is_no_part_of_the_recipe(config):
    assert config("nightly.min_gain=3").model_dump() == config().model_dump()


# --- schedules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4 *", "never fires"),
        ("61 1 * * *", "is no schedule"),
        ("0 1 * *", "is no schedule"),
        ("0 1 * * * *", "is no schedule"),
        ("H 1 * * *", "is no schedule"),
        ("tomorrow", "is no schedule"),
    ],
)
def test_a_schedule_that_is_malformed_or_never_fires_is_refused(config, cron, message):
    with pytest.raises(ValueError, match=message):
        standing.check(config(), cron, "UTC")


def test_a_time_zone_that_does_not_exist_is_refused(config):
    with pytest.raises(ValueError, match="'Mars/Olympus': no such time zone"):
        standing.check(config(), "0 1 * * *", "Mars/Olympus")


def test_nights_begin_at_local_time():
    (first,) = standing.first_nights("30 23 * * *", "Asia/Tokyo", 1)

    assert (first.hour, first.minute, first.utcoffset()) == (23, 30, timedelta(hours=9))


def test_a_leap_day_is_a_date():
    (first,) = standing.first_nights("0 0 29 2 *", "UTC", 1)

    assert (first.month, first.day) == (2, 29)


# --- what is kept ------------------------------------------------------------------------------------------------


def test_a_standing_campaign_is_read_back_as_it_was_set_up(workspace, config):
    each = standing.check(config("nightly.min_gain=1.5"), "0 1 * * *", "Europe/Berlin")
    standing.write(workspace, each)

    found = standing.read(workspace, "night")

    assert found == each
    assert found.config.nightly == Nightly(min_gain=1.5)
    assert standing.names(workspace) == ["night"]


def test_a_campaign_that_does_not_stand_is_named_with_the_nearest(workspace, config):
    standing.write(workspace, standing.check(config(), "", "UTC"))

    with pytest.raises(ValueError, match=r"no standing campaign 'nigth'.*did you mean 'night'"):
        standing.read(workspace, "nigth")
    with pytest.raises(ValueError, match="no standing campaign"):
        night.run(workspace, "other")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"campaign": "night"}', '{"nights": [{"x": 1}], "campaign": "n"}'])
def test_a_damaged_record_of_nights_is_said_and_kept(workspace, text):
    path = record.path(workspace, "night")
    path.parent.mkdir(parents=True)
    path.write_text(text)

    with pytest.raises(ValueError, match="is no record of nights"):
        record.read(workspace, "night")
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("night@better", "no such alias; there are: best, newest"),
        ("night@latest", "no such alias"),
        ("night@best", "no night of night has come to an end"),
    ],
)
def test_an_alias_without_a_checkpoint_is_one_sentence(workspace, config, name, message):
    standing.write(workspace, standing.check(config(), "", "UTC"))

    with pytest.raises(ValueError, match=message):
        model_folder(workspace, name)


def test_an_alias_whose_checkpoint_is_gone_is_one_sentence(workspace):
    result = {"iteration": 0, "policy": {"path": str(workspace.root / "gone"), "digest": "d"}}
    record.write(workspace, Nights("night").with_night(Night(0, "base", "", 0.0, 1.0, result)))

    with pytest.raises(ValueError, match=r"its checkpoint .*gone is gone"):
        model_folder(workspace, "night@newest")


def test_a_hub_name_with_an_at_sign_is_no_alias(workspace):
    assert model_folder(workspace, "someone/model@main") == "someone/model@main"


# --- in MLflow ---------------------------------------------------------------------------------------------------


def test_the_aliases_are_those_of_the_record_and_sending_twice_changes_nothing(workspace, mlflow_client):
    nights = Nights("aliased")
    for number, outcome in enumerate(["base", "promoted", "rolled back"]):
        result = evaluated(workspace, number, 10 + number)
        nights = nights.with_night(Night(number, outcome, "", 0.0, 1.0, result))

    registry.mirror(workspace, nights)
    registry.mirror(workspace, nights)

    versions = mlflow_client.search_model_versions("name = 'aliased'")
    found = {alias: mlflow_client.get_model_version_by_alias("aliased", alias) for alias in ("best", "newest")}
    assert len(versions) == 2
    assert {alias: version.tags["iteration"] for alias, version in found.items()} == {"best": "1", "newest": "2"}
    for alias, version in found.items():
        assert version.tags["sha256"] == nights.aliases[alias]["digest"]
        assert version.source == Path(nights.aliases[alias]["path"]).as_uri()


# --- in Prefect --------------------------------------------------------------------------------------------------


def test_a_night_beside_another_ends_as_skipped_in_prefect(workspace, prefect_server):
    from flows.serving.forms import NightForm
    from flows.serving.served import nightly

    locks = FlockLockManager(workspace.locks)
    assert locks.try_lock("night-night", "another process")
    state = nightly(NightForm(campaign="night"), return_state=True)
    locks.release_lock("night-night", "another process")

    assert (state.name, state.is_completed()) == ("Skipped", True)
    assert state.message == "the night of night is skipped: the previous one still runs"


def test_a_night_of_a_campaign_that_does_not_stand_fails_with_the_sentence(workspace, prefect_server):
    from flows.serving.forms import NightForm
    from flows.serving.served import nightly

    state = nightly(NightForm(campaign="nobody"), return_state=True)

    assert state.is_failed()
    assert "no standing campaign 'nobody'" in state.message


def test_the_schedules_of_the_deployment_follow_the_data_root(workspace, config, prefect_server):
    from prefect.client.orchestration import get_client

    from flows.serving.served import nightly

    def on_server():
        found = client.read_deployment_by_name("nightly/unit").schedules
        return {each.slug: (each.schedule.cron, each.schedule.timezone, each.active) for each in found}

    nightly.to_deployment("unit").apply()
    with get_client(sync_client=True) as client:
        standing.write(workspace, standing.check(config(), "0 1 * * *", "UTC"))
        standing.write(workspace, standing.check(config("name=other"), "0 2 * * *", "Europe/Berlin"))
        standing.write(workspace, standing.check(config("name=by-hand"), "", "UTC"))
        assert schedules.match(client, "nightly/unit", workspace.root) == ["night", "other"]
        first = on_server()
        found = client.read_deployment_by_name("nightly/unit")
        (paused,) = [each for each in found.schedules if each.slug == "night"]
        client.update_deployment_schedule(found.id, paused.id, active=False)
        standing.write(workspace, standing.check(config("name=other"), "0 3 * * *", "Europe/Berlin"))
        schedules.match(client, "nightly/unit", workspace.root)
        second = on_server()
        standing.remove(workspace, "other")
        schedules.match(client, "nightly/unit", workspace.root)
        third = on_server()

    assert first == {"night": ("0 1 * * *", "UTC", True), "other": ("0 2 * * *", "Europe/Berlin", True)}
    assert second == {"night": ("0 1 * * *", "UTC", False), "other": ("0 3 * * *", "Europe/Berlin", True)}
    assert third == {"night": ("0 1 * * *", "UTC", False)}


def test_a_shared_server_keeps_the_nights_of_another_data_root(workspace, tmp_path, config, prefect_server):
    from prefect.client.orchestration import get_client

    from flows.serving.served import nightly

    theirs = tmp_path / "theirs"
    nightly.to_deployment("theirs", tags=["odr", schedules.owner_tag(theirs)]).apply()
    with get_client(sync_client=True) as client:
        before = schedules.deployment_of(client, workspace.root)
        nightly.to_deployment("ours", tags=["odr", schedules.owner_tag(workspace.root)]).apply()
        found = schedules.deployment_of(client, workspace.root), schedules.deployment_of(client, theirs)

    assert before is None
    assert found == ("nightly/ours", "nightly/theirs")


# --- odr nightly -------------------------------------------------------------------------------------------------


@pytest.fixture
def odr_nightly(workspace, tmp_path, model_folder, monkeypatch, unchanged):
    """The command; FILE stands for the small campaign's config file."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    file = tmp_path / "standing.yaml"
    file.write_text(yaml.safe_dump({**small_fields(tmp_path, model_folder), "name": "night"}))

    def call(*words):
        return CliRunner().invoke(app, ["nightly", *(str(file) if word == "FILE" else word for word in words)])

    return call


def test_a_schedule_stays_until_another_is_given(workspace, odr_nightly):
    said = odr_nightly("FILE", "--cron", "30 1 * * *", "--timezone", "Asia/Tokyo")
    odr_nightly("FILE", "nightly.min_gain=2")
    changed = standing.read(workspace, "night")
    odr_nightly("night", "--cron", "0 2 * * *")
    moved = standing.read(workspace, "night")

    assert re.search(r"night goes on at \w+ \d+ \w+ 01:30, .* \(Asia/Tokyo\)", said.stdout)
    assert "start `odr up`" in said.stdout
    assert (changed.cron, changed.timezone, changed.config.nightly.min_gain) == ("30 1 * * *", "Asia/Tokyo", 2.0)
    assert (moved.cron, moved.timezone, moved.config.nightly.min_gain) == ("0 2 * * *", "Asia/Tokyo", 2.0)


def test_off_leaves_the_nights_and_takes_the_schedule(workspace, odr_nightly):
    odr_nightly("FILE", "--cron", "30 1 * * *")
    record.write(workspace, Nights("night"))

    said = odr_nightly("night", "--off")

    assert said.exit_code == 0
    assert standing.names(workspace) == []
    assert record.path(workspace, "night").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["FILE", "--cron", "0 0 30 2 *"], "never fires"),
        (["FILE", "--cron", "0 1 * * *", "--timezone", "Mars"], "no such time zone"),
        (["nobody"], "no standing campaign 'nobody'"),
        (["nobody", "--off"], "no standing campaign 'nobody'"),
        (["nobody", "seed=1"], "is no YAML file"),
        (["FILE", "nightly.metric=best"], "nightly.metric"),
    ],
)
def test_what_a_person_can_put_right_is_one_sentence_and_sets_nothing_up(workspace, odr_nightly, words, message):
    result = odr_nightly(*words)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert standing.names(workspace) == []
