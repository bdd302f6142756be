"""What a gridworld recipe may say: networks, learning, environment, and what each stage does by default."""

from typing import Literal

from msgspec import Struct

from schemas.recipe import Recipe, Section

LevelName = Literal["minimal", "resources", "full", "partial", "temporal"]
EncodingName = Literal["places", "memory", "window", "grid"]
Activation = Literal["relu", "gelu", "silu", "tanh", "elu"]


class FeedForward(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="feedforward"):
    """Plain multilayer perceptron Q-network."""

    hidden: tuple[int, ...] = (256, 256)
    activation: Activation = "relu"
    layer_norm: bool = True
    dropout: float = 0.0


class Dueling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="dueling"):
    """Shared trunk, then a value and an advantage stream (Wang et al. 2016)."""

    hidden: tuple[int, ...] = (256, 256)
    stream: tuple[int, ...] = (128,)
    activation: Activation = "relu"
    layer_norm: bool = True
    dropout: float = 0.0


class Recurrent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="recurrent"):
    """Observation encoder, one LSTM or GRU layer, Q head (Hausknecht and Stone 2015; stored state as in R2D2)."""

    encoder: tuple[int, ...] = (128,)
    cell: Literal["lstm", "gru"] = "gru"
    hidden_size: int = 128
    head: tuple[int, ...] = (128,)
    dueling: bool = True
    activation: Activation = "relu"
    layer_norm: bool = True
    dropout: float = 0.0


class PlaceMemory(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recurrent cell per place, weights shared over places: the network remembers each place by itself."""

    cell: Literal["lstm", "gru"] = "gru"
    hidden_size: int = 16


class Places(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="places"):
    """One small network shared over the places; a trunk on the rest of the observation gates how their outputs mix.

    Needs an encoding with a block per place ("places" or "memory"). ``memory`` adds a recurrent cell per place.
    """

    place: tuple[int, ...] = (64,)
    mixed_size: int = 64
    trunk: tuple[int, ...] = (128,)
    head: tuple[int, ...] = (128,)
    dueling: bool = True
    memory: PlaceMemory | None = None
    activation: Activation = "relu"
    layer_norm: bool = True
    dropout: float = 0.0


Network = FeedForward | Dueling | Recurrent | Places


class Optimizer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``learning_rate`` falls from its value to ``final_fraction`` of it over the training by ``schedule``."""

    type: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    epsilon: float = 1e-8
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    final_fraction: float = 0.1
    warmup_updates: int = 0
    max_grad_norm: float = 10.0


class QLearning(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``polyak`` moves the target network every update; with ``target_every`` > 0 it is copied every so many instead."""

    gamma: float = 0.99
    num_step_return: int = 5
    double: bool = True
    loss: Literal["huber", "mse"] = "huber"
    reward_scale: float = 0.1
    polyak: float = 0.01
    target_every: int = 0
    average_decay: float = 0.999


class Replay(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replay memory, in transitions; ``alpha`` and ``beta`` as in Schaul et al. 2016 (prioritized only).

    ``burn_in`` and ``sequence`` are steps, for recurrent networks: the hidden state stored with the sequence is
    first run over ``burn_in`` steps without gradient, then learning runs over ``sequence`` steps (Kapturowski
    et al. 2019).
    """

    type: Literal["uniform", "prioritized"] = "uniform"
    capacity: int = 400_000
    batch_size: int = 256
    alpha: float = 0.6
    beta: float = 0.4
    priority_epsilon: float = 1e-3
    burn_in: int = 8
    sequence: int = 16


class Exploration(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each environment keeps its own epsilon, spread geometrically from ``highest`` to ``lowest``, all falling together.

    ``start`` scales the spread at the beginning and reaches 1 after ``anneal_steps`` environment steps.
    """

    highest: float = 0.4
    lowest: float = 0.005
    anneal_steps: int = 200_000
    random_starts: float = 0.0


class Novelty(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Random network distillation (Burda et al. 2018): ``weight`` is annealed to 0 over ``anneal_steps``."""

    weight: float = 0.1
    anneal_steps: int = 2_000_000
    embedding_size: int = 32
    hidden: int = 64
    learning_rate: float = 1e-4


class Stage(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One curriculum stage."""

    multiplier: float
    sparse: bool = False


class Curriculum(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Advance when survival is high, still learning (or saturated) and decided; retreat when survival collapses."""

    stages: tuple[Stage, ...] = (
        Stage(multiplier=0.2),
        Stage(multiplier=0.5),
        Stage(multiplier=0.8),
        Stage(multiplier=1.0),
        Stage(multiplier=1.0, sparse=True),
    )
    advance_survival: float = 0.7
    saturated_survival: float = 0.95
    retreat_survival: float = 0.3
    max_entropy: float = 0.5
    entropy_temperature: float = 0.02
    min_episodes: int = 500
    window_episodes: int = 200


class Environment(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the agent lives. ``multiplier`` scales the base decay; ``shaping`` weighs potential-based shaping."""

    level: LevelName = "full"
    encoding: EncodingName = "places"
    multiplier: float = 1.0
    sparse: bool = False
    shaping: float = 0.0


class Train(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Length and rhythm of the training, all in environment steps (summed over environments) unless named otherwise."""

    num_steps: int = 6_000_000
    num_envs: int = 256
    warmup_steps: int = 20_000
    updates_per_step: float = 1.0
    monitor_every: int = 500_000
    monitor_episodes: int = 200
    checkpoint_every: int = 1_000_000
    num_watched: int = 4
    num_threads: int = 1


class Examples(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fixed scenarios: ``num_scenarios`` for each multiplier, from ``seed``."""

    num_scenarios: int = 1000
    multipliers: tuple[float, ...] = (1.0,)
    seed: int = 1_000_003


class Infer(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decoding: ``epsilon`` is the share of random legal actions; the first ``num_traces`` episodes keep every step."""

    epsilon: float = 0.0
    seed: int = 0
    batch_size: int = 256
    num_traces: int = 20


class Evaluate(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``num_resamples`` bootstrap resamples at ``confidence``, from ``seed``."""

    confidence: float = 0.95
    num_resamples: int = 2000
    seed: int = 0


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


RECIPE = GridworldRecipe
