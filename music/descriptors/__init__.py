"""What is measured on a melody: functions of many melodies that give one number for each.

key: how clearly a melody states its key
mode: how major or minor a melody sounds
contour: how a melody moves in pitch
rhythm: when notes begin and how long they last
form: repetition, beginnings and endings
phrases: how bars and phrases correspond
phrase_rhythm: rhythm at the level of phrases
motifs: motifs as RL Tuner counts them
yardsticks: all measures by name, for tables beside real tunes
"""
