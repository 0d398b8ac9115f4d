"""The house rules of dashboards: each is a function that yields a sentence for every place that breaks it."""
