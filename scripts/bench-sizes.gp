# SPDX-License-Identifier: GPL-2.0
# Draws what a page or a VMA costs, over how many there are:
# gnuplot -e "data='bench-sizes.dat'; picture='...svg'; heading='...'" bench-sizes.gp

stats data using 1:2 skip 1 nooutput
columns = 3
lines = int(ceil(STATS_blocks / real(columns)))
set terminal svg size 1000, 60 + 260 * lines noenhanced font "sans,10" background "white"
set output picture
set multiplot layout lines, columns title heading.": instructions for each page or VMA, over their number"
set logscale xy
set grid
set key bottom left reverse Left samplen 2
set offsets graph 0.05, graph 0.05, graph 0.15, graph 0.3
do for [i = 0 : STATS_blocks - 1] {
    plot data index i using 1:2 with linespoints pt 7 ps 0.5 lw 2 lc rgb "#777777" title columnheader(2), \
         data index i using 1:3 with linespoints pt 7 ps 0.5 lw 2 lc rgb "#c0392b" title columnheader(3)
}
unset multiplot
