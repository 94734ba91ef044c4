"""`make reliability`: run what shows each promise of docs/reliability.md, and write down what was found."""
