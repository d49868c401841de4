"""What is computed: networks, their layers, and the catalogue that names them."""
