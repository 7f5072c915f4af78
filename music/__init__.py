"""What a melody is: notes, tokens and grammar, notation, sound, yardsticks, corpus. No torch."""
