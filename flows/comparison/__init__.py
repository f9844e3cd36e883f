"""`odr compare`: campaigns side by side on the same problems, as tables, a picture, one HTML file and an MLflow run."""
