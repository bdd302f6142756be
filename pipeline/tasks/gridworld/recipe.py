"""What a gridworld recipe may say: networks, learning, environment, and what each stage does by default."""

from typing import Annotated, Literal

from msgspec import Meta

from pipeline.contract.parts import RecipePart
from schemas import recipe
from schemas.recipe import Count, CountOrZero, NotNegative, Positive, Recipe, Section, Seed, Share, ShareBelowOne

LevelName = Literal["minimal", "resources", "full", "partial", "temporal"]
EncodingName = Literal["places", "memory", "window", "grid", "occupancy", "occupancy_short"]
Activation = Literal["relu", "gelu", "silu", "tanh", "elu"]
Epsilon = Annotated[float, Meta(gt=0, le=1)]  # spread geometrically, so never 0
Confidence = Annotated[float, Meta(gt=0, lt=1)]


class Style(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all hidden layers of a network share."""

    activation: Activation = "relu"
    layer_norm: bool = True
    dropout: ShareBelowOne = 0.0


class FeedForward(Style, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="feedforward"):
    """Plain multilayer perceptron Q-network."""

    hidden: tuple[Count, ...] = (256, 256)


class Dueling(Style, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="dueling"):
    """Shared trunk, then a value and an advantage stream (Wang et al. 2016)."""

    hidden: tuple[Count, ...] = (256, 256)
    stream: tuple[Count, ...] = (128,)


class Recurrent(Style, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="recurrent"):
    """Observation encoder, one LSTM or GRU layer, Q head (Hausknecht and Stone 2015; stored state as in R2D2)."""

    encoder: tuple[Count, ...] = (128,)
    cell: Literal["lstm", "gru"] = "gru"
    hidden_size: Count = 128
    head: tuple[Count, ...] = (128,)
    dueling: bool = True


class PlaceMemory(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recurrent cell per place, weights shared over places: what the network knows of places passes through it."""

    cell: Literal["lstm", "gru"] = "gru"
    hidden_size: Count = 16


class Places(Style, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="places"):
    """One small network shared over the places; a trunk on the rest of the observation gates how their outputs mix.

    Needs an encoding with a block per place ("places" or "memory"). ``memory`` adds a recurrent cell per place.
    """

    place: tuple[Count, ...] = (64,)
    mixed_size: Count = 64
    trunk: tuple[Count, ...] = (128,)
    head: tuple[Count, ...] = (128,)
    dueling: bool = True
    memory: PlaceMemory | None = None


class RecurrentSpatial(
    Style, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="recurrent_spatial"
):
    """Convolutions over the cells, a layer each for position, meters and place underfoot, then LSTM, LayerNorm, Q head.

    Needs encoding "occupancy". It sees the cells of the window where the level has one, else the whole grid.
    """

    channels: Annotated[tuple[Count, ...], Meta(min_length=1)] = (16, 32)
    vision_size: Count = 128
    part_size: Count = 32
    hidden_size: Count = 256
    head: tuple[Count, ...] = (128,)
    dueling: bool = False


Network = FeedForward | Dueling | Recurrent | Places | RecurrentSpatial


class Optimizer(recipe.Optimizer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``schedule`` is how the learning rate falls."""

    type: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    learning_rate: Positive = 1e-3
    epsilon: Positive = 1e-8
    schedule: recipe.Schedule = "linear"


class QLearning(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``polyak`` moves the target network every update; ``target_every`` > 0 copies it every so many instead.

    ``cut_at_exploration`` ends an n-step return before the next random action (Watkins 1989), so that it tells of the
    greedy policy and not of the exploring one.
    """

    gamma: Share = 0.99
    num_step_return: Count = 5
    cut_at_exploration: bool = False
    double: bool = True
    loss: Literal["huber", "mse"] = "huber"
    reward_scale: Positive = 0.1
    polyak: Share = 0.01
    target_every: CountOrZero = 0


class Replay(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replay memory, in transitions; ``alpha`` and ``beta`` as in Schaul et al. 2016 (prioritized only).

    ``burn_in`` and ``sequence`` are steps, for recurrent networks: the hidden state stored with the sequence is
    first run over ``burn_in`` steps without gradient, then learning runs over ``sequence`` steps (Kapturowski
    et al. 2019).
    """

    type: Literal["uniform", "prioritized"] = "uniform"
    capacity: Count = 400_000
    alpha: Share = 0.6
    beta: Share = 0.4
    priority_epsilon: Positive = 1e-3
    burn_in: CountOrZero = 8
    sequence: Count = 16


class Exploration(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each environment has its own epsilon, in a geometric spread from ``highest`` to ``lowest`` (Horgan et al. 2018).

    All begin at 1 and reach their place in the spread after ``anneal_steps`` environment steps. A share of
    ``random_starts`` of the training episodes begins with random meters at a random hour.
    """

    highest: Epsilon = 0.4
    lowest: Epsilon = 0.005
    anneal_steps: CountOrZero = 200_000
    random_starts: Share = 0.0


class Novelty(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Random network distillation (Burda et al. 2018): ``weight`` is annealed to 0 over ``anneal_steps``."""

    weight: NotNegative = 0.1
    anneal_steps: Count = 2_000_000
    embedding_size: Count = 32
    hidden: Count = 64
    learning_rate: Positive = 1e-4


class Stage(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One curriculum stage."""

    multiplier: NotNegative
    sparse: bool = False


class Curriculum(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Advance when survival is high, still learning (or saturated) and decided; retreat when survival collapses."""

    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)] = (
        Stage(multiplier=0.2),
        Stage(multiplier=0.5),
        Stage(multiplier=0.8),
        Stage(multiplier=1.0),
        Stage(multiplier=1.0, sparse=True),
    )
    advance_survival: Share = 0.7
    saturated_survival: Share = 0.95
    retreat_survival: Share = 0.3
    max_entropy: Share = 0.5
    entropy_temperature: Positive = 0.02
    min_episodes: Count = 500
    window_episodes: Count = 200


class Environment(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the agent lives. ``multiplier`` scales the base decay; ``shaping`` weighs potential-based shaping."""

    level: LevelName = "full"
    encoding: EncodingName = "places"
    multiplier: NotNegative = 1.0
    sparse: bool = False
    shaping: NotNegative = 0.0


class Train(recipe.Training, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Length and rhythm of the training, all in environment steps (summed over environments) unless named otherwise."""

    num_steps: Count = 6_000_000
    num_envs: Count = 256
    batch_size: Count = 256
    warmup_steps: CountOrZero = 20_000
    updates_per_step: NotNegative = 1.0
    monitor_every: Count = 500_000
    monitor_episodes: Count = 200
    monitor_epsilon: Share = 0.0
    checkpoint_every: Count = 1_000_000
    num_watched: CountOrZero = 4


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fixed scenarios: ``num_scenarios`` for each multiplier, from ``seed``."""

    num_scenarios: Count = 1000
    multipliers: Annotated[tuple[NotNegative, ...], Meta(min_length=1)] = (1.0,)
    seed: Seed = 1_000_003


class Infer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decoding: ``epsilon`` is the share of random legal actions.

    The first ``num_traces`` episodes keep every step, and so does each that ends in death; with 0, none does.
    ``forget`` empties a recurrent network's memory before every step: what the score loses is what the memory is worth.
    """

    epsilon: Share = 0.0
    seed: Seed = 0
    batch_size: Count = 256
    num_traces: CountOrZero = 20
    forget: bool = False


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``num_resamples`` bootstrap resamples at ``confidence``, from ``seed``."""

    confidence: Confidence = 0.95
    num_resamples: Count = 2000
    seed: Seed = 0


class GridworldRecipe(Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole gridworld run: one file says everything that every stage needs."""

    environment: Environment = Environment()
    network: Network = Places()
    optimizer: Optimizer = Optimizer()
    q_learning: QLearning = QLearning()
    replay: Replay = Replay()
    exploration: Exploration = Exploration()
    novelty: Novelty | None = None
    curriculum: Curriculum | None = None
    train: Train = Train()
    examples: Examples = Examples()
    infer: Infer = Infer()
    evaluate: Evaluate = Evaluate()


PART = RecipePart(
    recipe=GridworldRecipe,
    network=Network,
    moved={"q_learning.average_decay": "optimizer.average_decay", "replay.batch_size": "train.batch_size"},
)
