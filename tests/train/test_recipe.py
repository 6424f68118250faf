import pytest

from plusx.errors import UserError
from plusx.train.fitting import fit
from plusx.train.plan import Plan, refuse_odd_batches
from plusx.train.recipe import Recipe, load_recipe, parse_setting, recipe_names, setting_keys, to_toml


def test_all_shipped_recipes_are_valid() -> None:
    assert {"fast", "resnet18", "resnet20", "plain20", "resnet56", "plain56"} <= set(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).name == name


@pytest.mark.parametrize("name", recipe_names())
def test_a_resolved_recipe_reads_back_the_same(name: str, tmp_path) -> None:
    recipe = load_recipe(name, {"training.seed": 7, "data.source": 'odd "name" 猫'})
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(str(path)) == recipe


def test_overrides_reach_every_section() -> None:
    settings = [
        "training.epochs=3",
        "data.validation=5000",
        "schedule.shape=cosine",
        "optimizer.momentum=0.5",
    ]
    recipe = load_recipe("fast", dict(map(parse_setting, settings)))
    assert (recipe.training.epochs, recipe.data.validation) == (3, 5000)
    assert (recipe.schedule.shape, recipe.optimizer.momentum) == ("cosine", 0.5)


def test_an_unknown_key_names_those_like_it_or_else_all() -> None:
    for key, hint in [
        ("training.epoch", "did you mean training.epochs?"),
        ("epochs", "did you mean training.epochs?"),
        ("batch_size", "did you mean training.batch_size or evaluation.batch_size?"),
        ("training.learning_speed", "did you mean optimizer.learning_rate?"),
        ("xyz", f"allowed: {', '.join(setting_keys())}"),
    ]:
        with pytest.raises(UserError) as error:
            load_recipe("fast", {key: 3})
        assert str(error.value) == f"unknown setting {key!r}; {hint}"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("training.epochs", 0, "training.epochs = 0: should be greater than or equal to 1"),
        ("data.mirror", "up", "'none', 'random' or 'alternating'"),
        ("training.engine", "turbo", "'native' or 'handmade'"),
        ("model.name", "resnet19", "resnet20"),
        ("schedule.warmup_epochs", 99.0, "warmup_epochs is longer"),
        ("schedule.power", 0, "schedule.power = 0: should be greater than 0"),
    ],
)
def test_a_bad_value_says_what_is_allowed(key: str, value: object, says: str) -> None:
    with pytest.raises(UserError) as error:
        load_recipe("fast", {key: value})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_recipes_and_broken_files_are_user_errors(tmp_path) -> None:
    (tmp_path / "broken.toml").write_text("[model\n")
    (tmp_path / "odd.toml").write_text("[training]\nlearning_speed = 3\n")
    for name, says in [
        ("slow", "choose one of"),
        (str(tmp_path / "none.toml"), "there is no recipe file"),
        (str(tmp_path / "broken.toml"), "not valid TOML"),
        (str(tmp_path / "odd.toml"), "learning_speed"),
    ]:
        with pytest.raises(UserError, match=says):
            load_recipe(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sample", "for the pictures there: plusx train --data sample; or choose one of"),
        ("my pets/train", "for the pictures there: plusx train --data 'my pets/train'; or choose one of"),
        ("train-{0..9}.tar", "plusx train --data 'train-{0..9}.tar'"),
        ("resnet-20", "did you mean resnet20? choose one of"),
        ("Fast", "did you mean fast? choose one of"),
        ("nosuch", "there is no recipe 'nosuch'; choose one of"),
    ],
)
def test_what_may_be_meant_by_an_unknown_recipe_is_told(name: str, says: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my pets" / "train").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        load_recipe(name)
    assert says in str(error.value)


def test_recipes_cannot_be_changed_after_validation() -> None:
    recipe = load_recipe("fast")
    with pytest.raises(ValueError, match="frozen"):
        recipe.training.epochs = 3  # type: ignore[misc]
    assert Recipe.model_validate({"name": "x"}).training.epochs == 10


@pytest.mark.parametrize("name", ["resnet18", "resnet20"])
@pytest.mark.parametrize("count", [4, 17, 100, 5_000, 100_000])
def test_fitted_recipes_step_and_measure_what_memory_and_norms_can_take(name: str, count: int) -> None:
    recipe = fit(load_recipe(name, {"training.epochs": 1}), count, 224)
    assert recipe.evaluation.batch_size * 224**2 <= 1000 * 32**2 * 1.01
    steps = Plan(recipe.training, count, 224).steps_per_epoch
    assert count // steps >= 2
    refuse_odd_batches(recipe.training.batch_size, count, 1)
    assert recipe.schedule.warmup_epochs == 0.5  # an only epoch does not end at the highest rate


def test_a_process_would_be_left_with_one_picture() -> None:
    refuse_odd_batches(4, 16, 2)
    with pytest.raises(UserError, match="steps of 3 of the 17 pictures, fewer than 2 for each"):
        refuse_odd_batches(4, 17, 2)
