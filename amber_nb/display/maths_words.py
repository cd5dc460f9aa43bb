"""The LaTeX that may be typeset: commands that draw a sign or place one, environments that line them up.

Left out on purpose: whatever makes links, classes, styles, markup or macros, loads code, draws boxes of any size, moves
what it draws (rule, kern, raise, llap …), keeps state from one answer to the next, or reads its argument verbatim.
"""

__all__ = ["COMMANDS", "ENVIRONMENTS"]

_LETTERS = """
    aleph alpha And angle backprime backslash Bbbk beta beth bigstar blacklozenge blacksquare blacktriangle
    blacktriangledown bot Box checkmark chi circledR circledS clubsuit complement daleth Delta delta diagdown
    diagup Diamond diamondsuit digamma ell emptyset epsilon eta eth exists Finv flat forall Game Gamma gamma
    gimel hbar heartsuit hslash Im imath infty iota jmath kappa Lambda lambda lnot lozenge maltese measuredangle
    mho mu nabla natural neg nexists nu Omega omega omicron partial Phi phi Pi pi prime Psi psi Re rho S sharp
    Sigma sigma spadesuit sphericalangle square tau Theta theta top triangle triangledown Upsilon upsilon
    varDelta varepsilon varGamma varkappa varLambda varnothing varOmega varPhi varphi varPi varpi varPsi varrho
    varSigma varsigma varTheta vartheta varUpsilon varXi wp Xi xi yen zeta
"""
_SIGNS = """
    amalg approx approxeq ast asymp backepsilon backsim backsimeq barwedge because between bigcap bigcirc bigcup
    bigodot bigoplus bigotimes bigsqcup bigtimes bigtriangledown bigtriangleup biguplus bigvee bigwedge
    blacktriangleleft blacktriangleright bowtie boxdot boxminus boxplus boxtimes bullet Bumpeq bumpeq Cap cap
    cdot cdotp cdots centerdot centernot circ circeq circlearrowleft circlearrowright circledast circledcirc
    circleddash colon colonapprox Coloneqq coloneqq colonsim cong coprod Cup cup curlyeqprec curlyeqsucc
    curlyvee curlywedge curvearrowleft curvearrowright dagger dashleftarrow dashrightarrow dashv dblcolon
    ddagger ddots diamond div divideontimes divsymbol Doteq doteq doteqdot dotplus dotsb dotsc dotsi dotsm dotso
    doublebarwedge doublecap doublecup downdownarrows downharpoonleft downharpoonright eqcirc Eqqcolon eqqcolon
    eqsim eqslantgtr eqslantless equiv fallingdotseq frown ge geq geqq geqslant gets gg ggg gggtr gnapprox gneq
    gneqq gnsim gt gtrapprox gtrdot gtreqless gtreqqless gtrless gtrsim gvertneqq hookleftarrow hookrightarrow
    iiiint iiint iint impliedby implies in int intercal intop Join land ldotp ldots le leadsto Leftarrow
    leftarrow leftarrowtail leftharpoondown leftharpoonup leftleftarrows Leftrightarrow leftrightarrow
    leftrightarrows leftrightharpoons leftrightsquigarrow leftthreetimes leq leqq leqslant lessapprox lessdot
    lesseqgtr lesseqqgtr lessgtr lesssim lhd ll Lleftarrow lll llless lnapprox lneq lneqq lnsim Longleftarrow
    longleftarrow Longleftrightarrow longleftrightarrow longmapsto Longrightarrow longrightarrow looparrowleft
    looparrowright lor Lsh lt ltimes lvertneqq mapsto mid models mp multimap ncong ne nearrow neq ngeq ngeqq
    ngeqslant ngtr ni nLeftarrow nleftarrow nLeftrightarrow nleftrightarrow nleq nleqq nleqslant nless nmid
    notChar notin nparallel nprec npreceq nRightarrow nrightarrow nshortmid nshortparallel nsim nsubseteq
    nsubseteqq nsucc nsucceq nsupseteq nsupseteqq ntriangleleft ntrianglelefteq ntriangleright ntrianglerighteq
    nVDash nVdash nvDash nvdash nwarrow odot oint ominus oplus oslash otimes owns parallel perp pitchfork pm
    prec precapprox preccurlyeq preceq precnapprox precneqq precnsim precsim prod propto restriction rhd
    Rightarrow rightarrow rightarrowtail rightharpoondown rightharpoonup rightleftarrows rightleftharpoons
    rightrightarrows rightsquigarrow rightthreetimes risingdotseq Rrightarrow Rsh rtimes searrow setminus
    shortmid shortparallel sim simeq smallfrown smallint smallsetminus smallsmile smile sqcap sqcup sqsubset
    sqsubseteq sqsupset sqsupseteq star Subset subset subseteq subseteqq subsetneq subsetneqq succ succapprox
    succcurlyeq succeq succnapprox succneqq succnsim succsim sum Supset supset supseteq supseteqq supsetneq
    supsetneqq surd swarrow therefore thickapprox thicksim times to triangleleft trianglelefteq triangleq
    triangleright trianglerighteq twoheadleftarrow twoheadrightarrow unlhd unrhd upharpoonleft upharpoonright
    uplus upuparrows varpropto varsubsetneq varsubsetneqq varsupsetneq varsupsetneqq vartriangle vartriangleleft
    vartriangleright Vdash vDash vdash vdots vee veebar Vvdash wedge wr
"""
_DELIMITERS = """
    Arrowvert arrowvert backslash bracevert Downarrow downarrow gt langle lbrace lbrack lceil lfloor lgroup
    llcorner lmoustache lparen lrcorner lt lVert lvert rangle rbrace rbrack rceil rfloor rgroup rmoustache
    rparen rVert rvert ulcorner Uparrow uparrow Updownarrow updownarrow urcorner Vert vert
"""
_LAYOUT = """
    acute arccos arcsin arctan arg array atop bar Bbb bcancel begin bf Big big Bigg bigg Biggl biggl Biggm biggm
    Biggr biggr Bigl bigl Bigm bigm Bigr bigr binom bmod boldsymbol boxed Bra bra brace brack Braket braket
    breve cal cancel cancelto cases ce celsius cfrac check choose color colorbox cos cosh cot coth csc dbinom
    ddddot dddot ddot deg degree det dfrac dim displaystyle dot dots end enspace exp fbox frac frak gcd grave
    hat hbox hline hom hphantom hspace huge idotsint iff inf injlim it ker Ket ket Ketbra ketbra label Large
    large left lg lim liminf limits limsup ln log mathbb mathbf mathbfcal mathbffrak mathbfit mathbfscr mathbfsf
    mathbfsfit mathbfsfup mathbfup mathbin mathcal mathclose mathfrak mathinner mathit mathnormal mathop
    mathopen mathord mathpunct mathrel mathring mathrm mathscr mathsf mathsfit mathsfup mathstrut mathtt matrix
    max mbox micro middle min mod mspace negmedspace negthickspace negthinspace nobreakspace nolimits nonumber
    normalsize not notag ohm operatorname over overbrace overbracket overleftarrow overleftrightarrow overline
    overparen overrightarrow overset overunderset perthousand phantom pmatrix pmb pmod pod Pr prescript projlim
    pu qquad quad right rm root scr scriptscriptstyle scriptsize scriptstyle sec Set set sf sideset sin sinh
    small space sqrt stackbin stackrel strut substack sum sup tag tan tanh tbinom text textbf textcolor
    textdegree textit textnormal textohm textrm textsf textstyle texttt textup tfrac thinspace tilde tiny tt
    underbrace underbracket underleftarrow underleftrightarrow underline underparen underrightarrow underset
    varinjlim varliminf varlimsup varprojlim vec vphantom widehat widetilde xcancel xhookleftarrow
    xhookrightarrow xLeftarrow xleftarrow xLeftrightarrow xleftrightarrow xlongequal xmapsto xRightarrow
    xrightarrow xrightharpoondown xrightharpoonup xrightleftharpoons
"""

_TABLES = """
    align align* alignat alignat* aligned alignedat array Bmatrix bmatrix bmatrix* cases cases* dcases dcases*
    eqnarray eqnarray* equation equation* flalign flalign* gather gather* gathered matrix matrix* multline
    multline* pmatrix pmatrix* rcases rcases* smallmatrix split subarray Vmatrix vmatrix vmatrix*
"""

COMMANDS = frozenset(f"{_LETTERS} {_SIGNS} {_DELIMITERS} {_LAYOUT}".split())
ENVIRONMENTS = frozenset(_TABLES.split())
