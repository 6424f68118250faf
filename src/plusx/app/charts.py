"""Charts as SVG in the page's own colours: they follow the theme and need no library."""
