"""The steps between a record that is read and a row that is written."""
