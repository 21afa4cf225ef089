"""The order in which the gallery of examples is read."""

READING_ORDER = [
    "plot_tag_texts.py",
    "plot_film_genres.py",
    "plot_one_vs_rest.py",
    "plot_zero_threshold.py",
    "plot_thresholds.py",
    "plot_calibration.py",
    "plot_decisions.py",
    "plot_stratified_splits.py",
    "plot_rare_labels.py",
    "plot_unknown_labels.py",
    "plot_soft_labels.py",
    "plot_top_words.py",
    "plot_pictures.py",
    "plot_table_with_gaps.py",
    "plot_early_stopping.py",
    "plot_own_network.py",
    "plot_typed_spans.py",
    "plot_serve_without_torch.py",
]


class ReadingOrder:
    """Sort key of sphinx-gallery: the place of an example, the last for one that is not listed."""

    def __init__(self, source_directory):
        self.source_directory = source_directory

    def __call__(self, name):
        return (
            READING_ORDER.index(name)
            if name in READING_ORDER
            else len(READING_ORDER)
        )
