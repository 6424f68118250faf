"""The pages, in the order of the lesson."""

from plusx.app.page import Page
from plusx.app.pages import convolution, inside, plus_one, pooling, predict, training

PAGES: dict[str, Page] = {
    page.name: page
    for page in (
        convolution.PAGE,
        pooling.PAGE,
        inside.PAGE,
        plus_one.PAGE,
        training.PAGE,
        predict.PAGE,
    )
}
