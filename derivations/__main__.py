"""``python -m derivations``."""

from derivations.run import main_course

if __name__ == "__main__":
    main_course()
