"""Planted text on real and generated pictures: what readers of burned-in text hide, miss and hide for nothing."""
