"""Result folders, and the resumable jobs that fill them."""
