"""Team helpful: what is known of two things; a gold score, which no training may see, grades it."""
