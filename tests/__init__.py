"""Tests: unit/ mirrors the sources, build/ runs whole builds, the others drive a real server."""
