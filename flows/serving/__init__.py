"""Servers and deployments for daily use: `odr up`, `odr down`, `odr serve`."""
