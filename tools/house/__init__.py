"""The house rules of this repository, one module for each kind of rule. tools/house_rules.py runs them."""
