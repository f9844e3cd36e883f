"""Ways of writing one thing, each with two numbers put in: both are right for each other, with another number neither.

A and B stand for the numbers; the pairs hold for all of them.
"""

import pytest

from eval_math import Policy, grade

REWARD = Policy.reward()
NUMBERS = [(3, 5), (7, 2)]

IDENTITIES = r"""
A x^{B} === x^B \cdot A
\sin^2 x + A === A + 1 - \cos^2 x
(\sin A x)^2 === \sin^2(A x)
A \tan x === \frac{A \sin x}{\cos x}
\cos A x === \cos(-A x)
\log_{A} B === \frac{\ln B}{\ln A}
\ln A+\ln B === \ln(A\cdot B)
B\ln A === \ln A^B
\binom{n}{2}+A === \frac{n(n-1)}{2}+A
{n \choose 2}+A === \frac{n(n-1)}{2}+A
A(n+1)!-A n! === A n \cdot n!
\frac{A!}{(A-1)!} === A
\lfloor x \rfloor + A === \lfloor x+A \rfloor
|x-A| === |A-x|
\sqrt{x^2+A} === (x^2+A)^{1/2}
e^{A+B i} === e^A(\cos B + i\sin B)
A\pm\sqrt{B} === A+\sqrt{B}, A-\sqrt{B}
\frac{1}{\sqrt{A}+\sqrt{B}} === \frac{\sqrt{A}-\sqrt{B}}{A-B}
\sqrt{A+B+2\sqrt{A\cdot B}} === \sqrt{A}+\sqrt{B}
\sqrt[3]{A x} === (A x)^{\frac13}
x=A\text{ or }x=-A === \pm A
A x<B === x<\frac{B}{A}
-A x<B === x>-\frac{B}{A}
f(x)=A x+B === A x+B
\frac{x}{y}\div A === \frac{x}{A y}
0.\overline{AB} === \frac{AB}{99}
A\% === \frac{A}{100}
A\text{ m} === A00\text{ cm}
A:B === A : B
x^A+\frac{1}{x^A} === x^{-A}+x^A
(x-A)^2+(y-B)^2=3 === x^2+y^2-2\cdot A x-2\cdot B y+A^2+B^2-3=0
\frac{x}{A}+\frac{y}{B}=1 === B x+A y=A\cdot B
y-B=A(x-1) === y=A x+(B-A)
x\ne A === (-\infty,A)\cup(A,\infty)
x<A\text{ or }x>1B === (-\infty,A)\cup(1B,\infty)
-B<x-A<B === (A-B,A+B)
\{x \mid A<x<1B\} === (A,1B)
\{x\in\mathbb{R} : A<x<1B\} === (A,1B)
x=A, y=B === (A,B)
(x,y)=(A,B) === x=A,y=B
\frac{A}{B}\pi === \frac{A\pi}{B}
A\times 10^{B} === A\cdot 10^B
\frac{\pi}{A}\text{ radians} === \frac{180}{A}^\circ
\arctan A === \tan^{-1}(A)
A\sec x === A/\cos x
A! === A \cdot (A-1)!
\sqrt{-A} === i\sqrt{A}
\frac{A p}{q} === \frac{p}{q}\cdot A
x_1=A,x_2=1B === \{A,1B\}
A^x === e^{x\ln A}
A^{n+B} === A^B \cdot A^n
x\equiv A \pmod{1B} === x \equiv A\pmod {1B}
A_{10} === A
A \text{ and } 1B === A,1B
A\text{ km/h} === A \text{ km per hour}
A\text{ cm}^2 === A\text{ square centimeters}
\$A.50 === A.5
A\text{ dollars} === \$A
\vec{v}=\langle A,B\rangle === (A,B)
\begin{pmatrix}A\\B\end{pmatrix} === \begin{bmatrix}A\\B\end{bmatrix}
(-\infty,-A)\cup(-A,A)\cup(A,\infty) === (-\infty,-A)\cup(A,\infty)\cup(-A,A)
\mathbb{R}\setminus\{A\} === (-\infty,A)\cup(A,\infty)
x\in\{A,1B\} === A,1B
A\le x === [A,\infty)
a_n=A n+B === A n+B
A + B i === B i+A
A+B\mathrm{i} === B i+A
\frac{A+\sqrt{B}}{2} === \frac12(A+\sqrt{B})
A\dfrac{1}{2} === A.5
A^{-B} === \frac{1}{A^B}
A x(x+1) === A x^2+A x
x(x+A)(x-B) === x (x-B) (x+A)
A/B x === \frac{A}{B}x
A e^{i\pi/3} === A\left(\cos\frac{\pi}{3}+i\sin\frac{\pi}{3}\right)
\log_{A}(x) === \frac{\log x}{\log A}
\lg A === \log_{10} A
x=\frac{-A\pm\sqrt{B}}{2} === \frac{-A+\sqrt{B}}{2},\frac{-A-\sqrt{B}}{2}
A\text{ ways} === A
\overline{AB}=A === A
P(A)=\frac{A}{1B} === \frac{A}{1B}
\text{Area}=A === A
"""
PAIRS = [tuple(line.split(" === ")) for line in IDENTITIES.strip().splitlines()]


def with_numbers(text: str, one: int, other: int) -> str:
    # Names of segments and events keep their letters.
    kept = text.replace(r"\overline{AB}=", "<1>").replace("P(A)=", "<2>").replace(r"\text{Area}", "<3>")
    filled = kept.replace("A", str(one)).replace("B", str(other))
    return filled.replace("<1>", r"\overline{AB}=").replace("<2>", "P(A)=").replace("<3>", r"\text{Area}")


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_two_ways_of_writing_are_equal_and_another_number_is_not(left: str, right: str) -> None:
    for one, other in NUMBERS:
        answer, gold = with_numbers(left, one, other), with_numbers(right, one, other)
        changed = with_numbers(left, one + 1, other)

        assert grade(rf"\boxed{{{answer}}}", gold, REWARD).correct is True, f"{answer} ||| {gold}"
        assert grade(rf"\boxed{{{gold}}}", answer, REWARD).correct is True, f"{gold} ||| {answer}"
        assert grade(rf"\boxed{{{changed}}}", gold, REWARD).correct is False, f"{changed} ||| {gold}"
