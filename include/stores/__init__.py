"""Where company data lives: one package per kind of store, each implementing ``model.doors.Store``."""
