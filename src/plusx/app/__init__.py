"""The lesson, live in a browser: `plusx app`.

Pages are rendered here, in Python, and kept alive by one small script. A page is three files of one name: in
`pages/` a function from the controls' values to what is shown, in `templates/` how it looks, in `texts/` what
it says, English and Chinese beside each other. The script, `static/app.js`, knows no page: when a control
moves it asks for the page's parts again and puts those in place that changed. So every number on a page was
computed by plusx, the address of a page says all that it shows, and a teacher changes a page without
JavaScript.

Why no framework for reactive pages. marimo was measured first, with one slider and one picture: it answers
the slider within 17-53 ms, but a browser's first visit loads 250 files, 6.6 MB, and paints after 3.6 s (here:
four files). Pointing at pixels, the editable grid and the animation would have been JavaScript of our own
there too, and requests could not be guarded as `guard` does it. Starlette and uvicorn are small and stay out
of the way.
"""

from plusx.app.serve import Settings, serve

__all__ = ["Settings", "serve"]
