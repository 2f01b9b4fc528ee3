"""The vectorised learners, against the algorithms written out one number at a time."""

from __future__ import annotations

from pathlib import Path

import environments_for_tests
import numpy as np
import pytest
from jobs_for_tests import job, optimise_all
from sklearn.kernel_approximation import RBFSampler
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.results import load_results
from quantilizers.evaluation.rollouts import episode_seeds
from quantilizers.optimisers import sarsa_and_q_learning
from quantilizers.optimisers.agents import AgentJob, Progress, load_agent
from quantilizers.optimisers.learner import TrainingReport
from quantilizers.optimisers.sarsa_and_q_learning import (
    FEATURES_PER_KERNEL,
    KERNEL_GAMMAS,
    FourierFeatures,
    LinearLearners,
    draw_features,
)

CAR = load_environment("MountainCar-v0")


def learn_one_number_at_a_time(
    one: AgentJob, learners: LinearLearners, index: int
) -> tuple[np.ndarray, list[list[float]]]:
    """Sutton & Barto's boxes of SARSA and Q-learning, literally, with the learners' features and random numbers."""
    features, weights = learners.features, np.zeros((3, 400))

    def show(observation: np.ndarray) -> np.ndarray:
        standardised = (observation - features.mean[index]) / features.deviation[index]
        return np.sqrt(2 / 100) * np.cos(standardised @ features.frequencies[index] + features.offsets[index])

    rewards: list[list[float]] = []
    for episode in range(one.steps // one.max_steps):
        draws = np.random.default_rng([one.seed, 2, episode]).random((one.max_steps + 1, 2))
        car = make_environment(CAR, max_steps=one.max_steps)
        observation, _ = car.reset(seed=int(np.random.default_rng([one.seed, 1, episode]).integers(2**31)))
        rewards.append([])

        def choose(step: int, shown: np.ndarray, draws: np.ndarray = draws) -> int:
            if draws[step, 0] < 0.1:
                return int(draws[step, 1] * 3)
            return int(np.argmax([shown @ weights[action] for action in range(3)]))

        shown = show(observation)
        action = choose(0, shown)
        ended, step = False, 0
        while not ended:
            observation, reward, terminated, truncated, _ = car.step(action)
            ended, step = terminated or truncated, step + 1
            rewards[-1].append(reward)
            next_shown = show(observation)
            if one.algorithm == "sarsa":
                next_action = choose(step, next_shown)
                target = reward + 0.99 * (next_shown @ weights[next_action])
                weights[action] += 0.01 * (target - shown @ weights[action]) * shown
            else:
                target = reward + 0.99 * max(next_shown @ weights[other] for other in range(3))
                weights[action] += 0.01 * (target - shown @ weights[action]) * shown
                next_action = choose(step, next_shown)
            shown, action = next_shown, next_action
    return weights, rewards


@pytest.mark.parametrize("algorithm", ["sarsa", "q_learning"])
def test_side_by_side_learns_as_one_number_at_a_time(tmp_path: Path, algorithm: str) -> None:
    jobs = [job(tmp_path, algorithm=algorithm, seed=seed, steps=6 * 200) for seed in (3, 8)]
    learners = LinearLearners(jobs, CAR)
    for _ in range(6):
        learners.run_episode()
    for index, one in enumerate(jobs):
        weights, rewards = learn_one_number_at_a_time(one, learners, index)
        np.testing.assert_allclose(learners.weights[index], weights, atol=1e-9)
        assert np.abs(weights).max() > 0.01
        for episode, of_episode in enumerate(rewards):
            assert learners.lengths[index, episode] == len(of_episode)
            np.testing.assert_allclose(learners.proxy_rewards[index, episode, : len(of_episode)], of_episode, atol=1e-6)
    learners.vector.close()


def test_sarsa_and_q_learning_differ(tmp_path: Path) -> None:
    weights = []
    for algorithm in ("sarsa", "q_learning"):
        learners = LinearLearners([job(tmp_path, algorithm=algorithm)], CAR)
        learners.run_episode()
        weights.append(learners.weights)
    assert not np.allclose(*weights)


def jobs_in(folder: Path) -> list[AgentJob]:
    return [job(folder, seed=seed, steps=40 * 200, number_trajectories=4) for seed in range(2, 5)]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> list[AgentJob]:
    """Three seeds of forty episodes, trained side by side."""
    jobs = jobs_in(tmp_path_factory.mktemp("done"))
    optimise_all(jobs)
    return jobs


def test_what_a_seed_learns_depends_on_no_other_seed(done: list[AgentJob], tmp_path: Path) -> None:
    alone = job(tmp_path, seed=3, steps=40 * 200, number_trajectories=4)
    optimise_all([alone])
    assert done[1].agent.read_bytes() == alone.agent.read_bytes()


def test_an_interrupted_training_goes_on_and_ends_as_if_nothing_had_happened(
    done: list[AgentJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [one.agent.read_bytes() for one in done] + [one.rewards.read_bytes() for one in done]
    jobs = jobs_in(tmp_path)

    receive = TrainingReport.receive

    def interrupt(self: TrainingReport, progress: Progress) -> None:
        receive(self, progress)
        if progress.seed == jobs[1].seed and len(self.curves[1].steps) == 32:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingReport, "receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            optimise_all(jobs)
    saved = load_agent(jobs[0])
    assert saved is not None
    assert len(saved.curve.steps) == sarsa_and_q_learning.CHECKPOINT_EPISODES

    ran = []
    original = LinearLearners.run_episode
    monkeypatch.setattr(LinearLearners, "run_episode", lambda self: ran.append(1) or original(self))
    optimise_all(jobs)
    assert len(ran) == 15, "the first 25 of 40 episodes are not run again"
    assert whole == [one.agent.read_bytes() for one in jobs] + [one.rewards.read_bytes() for one in jobs]


def test_the_last_training_episodes_are_what_is_measured(done: list[AgentJob]) -> None:
    for one in done:
        results, agent = load_results(one.rewards), load_agent(one)
        assert agent is not None
        assert results.quantiles.tolist() == [0.0]
        np.testing.assert_allclose(results.proxy_returns[0], agent.curve.proxy_returns[-4:], rtol=1e-5)
        np.testing.assert_array_equal(results.true_returns[0], agent.curve.true_returns[-4:])
        assert agent.steps == agent.curve.steps[-1] == -sum(agent.curve.true_returns)


@pytest.mark.parametrize("algorithm", ["sarsa", "q_learning"])
def test_the_greedy_ones_learn_alike_and_are_measured_as_the_quantilizers(tmp_path: Path, algorithm: str) -> None:
    exploring = [job(tmp_path / "exploring", algorithm=algorithm, seed=seed) for seed in (0, 1)]
    greedy = [
        job(tmp_path / "greedy", algorithm=f"{algorithm}_greedy", seed=seed, number_trajectories=3) for seed in (0, 1)
    ]
    optimise_all(exploring)
    optimise_all(greedy)
    for one, other in zip(exploring, greedy, strict=True):
        agents = load_agent(one), load_agent(other)
        assert agents[0] is not None
        assert agents[1] is not None
        np.testing.assert_array_equal(agents[0].arrays["weights"], agents[1].arrays["weights"])
        learned, car = agents[1].arrays, make_environment(CAR, max_steps=200)
        for episode, seed in enumerate(episode_seeds(other.seed, slice(0, 3))):
            observation, rewards, ended = car.reset(seed=seed)[0], [], False
            while not ended:
                standardised = (observation - learned["feature_mean"]) / learned["feature_deviation"]
                phases = standardised @ learned["feature_frequencies"] + learned["feature_offsets"]
                action = int((learned["weights"] @ np.cos(phases)).argmax())
                observation, reward, terminated, truncated, _ = car.step(action)
                rewards.append(reward)
                ended = terminated or truncated
            measured = load_results(other.rewards).proxy_rewards[0, episode, : len(rewards)]
            np.testing.assert_allclose(measured, rewards, rtol=1e-6)


def test_learning_raises_the_proxy_return(done: list[AgentJob]) -> None:
    agents = [load_agent(one) for one in done]
    curves = np.array([agent.curve.proxy_returns for agent in agents if agent])
    assert curves[:, -10:].mean() > curves[:, :10].mean() + 15


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": 199}, "199 training steps are less than one episode"),
        ({"environment": "Hopper-v2"}, "discrete actions"),
    ],
)
def test_what_cannot_be_learned_is_said_in_one_line(tmp_path: Path, changes: dict, named: str) -> None:
    one = job(tmp_path, **changes)
    with pytest.raises(UserError, match=named):
        LinearLearners([one], load_environment(one.environment))


@pytest.mark.parametrize("name", ["DISCRETE", "DISCRETE_FROM_TWO"])
def test_anybodys_environment_is_trained_and_measured_in(tmp_path: Path, name: str) -> None:
    """An environment without a vectorised form, one part of whose observations never changes."""
    jobs = [
        job(tmp_path, environment=f"environments_for_tests:{name}", seed=seed, steps=800, max_steps=8)
        for seed in range(2)
    ]
    optimise_all(jobs)
    lowest = getattr(environments_for_tests, name).action_classes[0][0]
    for one in jobs:
        results = load_results(one.rewards)
        assert (results.lengths == 8).all()
        np.testing.assert_allclose(results.proxy_returns, results.true_returns + 8, rtol=1e-6)
        np.testing.assert_array_equal(np.unique(results.true_rewards), lowest + np.arange(3))


def test_an_environment_that_was_defined_in_memory_is_learned_in(tmp_path: Path) -> None:
    assert environments_for_tests.DISCRETE.address == ""
    learners = LinearLearners([job(tmp_path, environment="", max_steps=8)], environments_for_tests.DISCRETE)
    learners.run_episode()
    assert learners.lengths[0, 0] == 8


LOW, HIGH = np.array([-1.2, -0.07]), np.array([0.6, 0.07])


@pytest.fixture
def observations() -> np.ndarray:
    return np.random.default_rng(9).uniform(LOW, HIGH, size=(50, 2))


def test_features_are_those_of_scikit_learn_with_the_same_random_numbers(observations: np.ndarray) -> None:
    features = draw_features(LOW, HIGH, np.random.default_rng(0))
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.n_features_in_ = features.mean[0], features.deviation[0], 2
    blocks = []
    for index, gamma in enumerate(KERNEL_GAMMAS):
        block = slice(index * FEATURES_PER_KERNEL, (index + 1) * FEATURES_PER_KERNEL)
        sampler = RBFSampler(gamma=gamma, n_components=FEATURES_PER_KERNEL).fit(observations)
        sampler.random_weights_ = features.frequencies[0][:, block]
        sampler.random_offset_ = features.offsets[0][block]
        blocks.append(sampler.transform(scaler.transform(observations)))
    ours = np.stack([features(one[None])[0] for one in observations])
    np.testing.assert_allclose(ours, np.concatenate(blocks, axis=1), atol=1e-12)


def test_products_of_features_approach_gaussian_kernels(observations: np.ndarray) -> None:
    parts = [draw_features(LOW, HIGH, np.random.default_rng(seed)) for seed in range(60)]
    standardised = (observations - parts[0].mean) / parts[0].deviation
    products = np.zeros((len(KERNEL_GAMMAS), 50, 50))
    for part in parts:
        shown = np.stack([part(one[None])[0] for one in observations]).reshape(50, len(KERNEL_GAMMAS), -1)
        products += np.einsum("igf,jgf->gij", shown, shown) / len(parts)
    for product, gamma in zip(products, KERNEL_GAMMAS, strict=True):
        np.testing.assert_allclose(product, rbf_kernel(standardised, gamma=gamma), atol=0.08)


def test_observations_are_standardised_by_the_bounds() -> None:
    """A uniform draw between two bounds has their middle as its mean and their distance over √12 as deviation."""
    features = draw_features(LOW, HIGH, np.random.default_rng(1))
    np.testing.assert_allclose(features.mean[0], (LOW + HIGH) / 2, atol=0.02)
    np.testing.assert_allclose(features.deviation[0], (HIGH - LOW) / np.sqrt(12), rtol=0.02)


def test_agents_side_by_side_have_features_of_their_own(observations: np.ndarray) -> None:
    parts = [draw_features(LOW, HIGH, np.random.default_rng(seed)) for seed in range(3)]
    together = FourierFeatures.stack(parts)(observations[:3])
    alone = np.concatenate([part(observations[index : index + 1]) for index, part in enumerate(parts)])
    np.testing.assert_array_equal(together, alone)
    assert len(np.unique(together.round(6))) > 1000


def test_what_never_varies_is_not_scaled() -> None:
    features = draw_features(np.array([0.0, 3.0]), np.array([1.0, 3.0]), np.random.default_rng(0))
    assert features.deviation[0, 1] == 1
    assert np.isfinite(features(np.array([[0.5, 3.0]]))).all()
