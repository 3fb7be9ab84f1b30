# SPDX-License-Identifier: GPL-2.0
# Draws the ratios of bench.py: gnuplot -e "data='bench.dat'; picture='bench.svg'; heading='...'" bench.gp
# A bar from 1 to the ratio of each row, green below 1, red above 1.02.

stats data using 1 nooutput
rows = int(STATS_max)
set terminal svg size 900, 100 + 16 * rows noenhanced font "sans,11" background "white"
set output picture
set title heading
set xlabel "Rust / C: executed instructions, or bytes of a module"
set logscale x 2
set xrange [0.5:20]
set xtics ("0.5" 0.5, "0.7" 0.7, "1" 1, "1.5" 1.5, "2" 2, "4" 4, "8" 8, "16" 16)
set yrange [rows + 1:0]
set grid xtics
set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb "black" front
set style fill solid
unset key
color(r) = r <= 1 ? 0x2e8b57 : r <= 1.02 ? 0x999999 : 0xc0392b
plot data using 2:1:(1):2:($1 - 0.35):($1 + 0.35):(color($2)):ytic(3) \
         with boxxyerror lc rgb variable, \
     data using ($2 < 1 ? 1 : $2):1:(abs($2 - 1) < 0.005 ? "" : sprintf("%.2f", $2)) \
         with labels left offset 0.5, 0 font "sans,9"
